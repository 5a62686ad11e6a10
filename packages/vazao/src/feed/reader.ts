import { FeedError } from './errors.ts';

/**
 * Reads one message, field by field. Every read is checked against the message's end: a message that is shorter than it
 * says would otherwise be completed with bytes of the next one.
 *
 * Texts are copied out of the buffer, which is shared with the socket and overwritten later.
 */
export class ByteReader {
  readonly #buffer: Buffer;
  #offset: number;

  constructor(buffer: Buffer, offset = 0) {
    this.#buffer = buffer;
    this.#offset = offset;
  }

  get remaining(): number {
    return this.#buffer.length - this.#offset;
  }

  uint8(): number {
    return this.#buffer.readUInt8(this.#advance(1));
  }

  uint16(): number {
    return this.#buffer.readUInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#advance(4));
  }

  uint32(): number {
    return this.#buffer.readUInt32BE(this.#advance(4));
  }

  int64(): bigint {
    return this.#buffer.readBigInt64BE(this.#advance(8));
  }

  uint64(): bigint {
    return this.#buffer.readBigUInt64BE(this.#advance(8));
  }

  /** A text that ends with a zero byte. */
  cstring(): string {
    const end = this.#buffer.indexOf(0, this.#offset);
    if (end < 0) throw truncated();
    const text = this.#buffer.toString('utf8', this.#offset, end);
    this.#offset = end + 1;
    return text;
  }

  text(length: number): string {
    const start = this.#advance(length);
    return this.#buffer.toString('utf8', start, start + length);
  }

  skip(length: number): void {
    this.#advance(length);
  }

  #advance(length: number): number {
    const start = this.#offset;
    if (length < 0 || start + length > this.#buffer.length) throw truncated();
    this.#offset = start + length;
    return start;
  }
}

function truncated(): FeedError {
  return new FeedError('ERR_FEED_PROTOCOL', 'A replication message ends before its last field.');
}
