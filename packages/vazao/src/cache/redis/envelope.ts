/**
 * The bytes that stand in Redis:
 *
 *   16 bytes   HMAC-SHA-256 over the name and all that follows, cut to 128 bit; zeros without a secret
 *    1 byte    version of this form
 *    1 byte    0: as it is, 1: compressed by zstd
 *   the rest, maybe compressed:   4 bytes length, JSON, value
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';

const VERSION = 1;
const SIGNATURE_BYTES = 16;
const HEAD_BYTES = SIGNATURE_BYTES + 2;
/** Less is not worth the time: measured by `bench/tier2.ts`. */
const COMPRESS_FROM_BYTES = 1_024;
/** More is compressed, and unpacked, off the event loop. */
const ASIDE_FROM_BYTES: number = 64 * 1024;
/** What an answer may unpack to. */
export const UNPACKED_BYTES_MAX: number = 8 * 1024 * 1024;
const OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const LIMIT = { maxOutputLength: UNPACKED_BYTES_MAX };

const compressAside = promisify(zstdCompress);
const unpackAside = promisify(zstdDecompress);

export interface Parcel {
  readonly json: unknown;
  readonly value: Buffer;
}

/** A key object is ready to be used: 10 µs for 6 KB, where bytes take 14. */
export type Secret = Buffer | KeyObject;

/** @param name - under which the bytes will stand, so that they count for nothing elsewhere */
export async function seal({ json, value }: Parcel, name: string, secret: Secret | undefined): Promise<Buffer> {
  const text = Buffer.from(JSON.stringify(json));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  const plain = Buffer.concat([length, text, value]);
  const isCompressed = plain.length >= COMPRESS_FROM_BYTES;
  const packed = !isCompressed
    ? plain
    : plain.length < ASIDE_FROM_BYTES
      ? zstdCompressSync(plain, OPTIONS)
      : await compressAside(plain, OPTIONS);
  const sealed = Buffer.concat([Buffer.alloc(SIGNATURE_BYTES), Buffer.from([VERSION, isCompressed ? 1 : 0]), packed]);
  if (secret) sign(sealed, name, secret).copy(sealed);
  return sealed;
}

/** Undefined for anything odd: another version, another secret, another name, bytes that were changed. */
export async function unseal(sealed: Buffer, name: string, secret: Secret | undefined): Promise<Parcel | undefined> {
  if (sealed.length < HEAD_BYTES || sealed[SIGNATURE_BYTES] !== VERSION) return undefined;
  if (secret && !timingSafeEqual(sign(sealed, name, secret), sealed.subarray(0, SIGNATURE_BYTES))) return undefined;
  try {
    const packed = sealed.subarray(HEAD_BYTES);
    const plain =
      sealed[SIGNATURE_BYTES + 1] === 0
        ? packed
        : packed.length < ASIDE_FROM_BYTES / 4
          ? zstdDecompressSync(packed, LIMIT)
          : await unpackAside(packed, LIMIT);
    const end = 4 + plain.readUInt32BE(0);
    if (end > plain.length) return undefined;
    return { json: JSON.parse(plain.toString('utf8', 4, end)), value: plain.subarray(end) };
  } catch {
    return undefined; // not what we wrote: as good as absent
  }
}

function sign(sealed: Buffer, name: string, secret: Secret): Buffer {
  return createHmac('sha256', secret)
    .update(name)
    .update('\0')
    .update(sealed.subarray(SIGNATURE_BYTES))
    .digest()
    .subarray(0, SIGNATURE_BYTES);
}
