/**
 * Decodes the messages of PostgreSQL's `pgoutput` plugin, protocol version 1, text format. One message in, one value
 * out; no state. See "Logical Replication Message Formats" in PostgreSQL's manual.
 *
 * Version 1 on purpose: later versions may stream a transaction before it commits (2), which a reader that cares only
 * for commits would have to buffer itself, or deliver prepared transactions at PREPARE (3).
 */
import { FeedError } from './errors.ts';
import { ByteReader } from './reader.ts';

/** A row as sent. `undefined` is a value that was not sent: unchanged TOAST (or binary, which is never asked for). */
export type Tuple = (string | null | undefined)[];

export type ReplicaIdentity = 'default' | 'nothing' | 'full' | 'index';

export interface RelationMessage {
  readonly kind: 'relation';
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly identity: ReplicaIdentity;
  readonly columns: readonly RelationColumn[];
}

export interface RelationColumn {
  readonly name: string;
  readonly key: boolean;
  readonly typeOid: number;
  readonly typeModifier: number;
}

/** An old row: `key` carries the columns of the replica identity only, with null for all others. */
export interface OldTuple {
  readonly kind: 'key' | 'full';
  readonly values: Tuple;
}

export type PgoutputMessage =
  | { readonly kind: 'begin'; readonly xid32: number; readonly committedAtMs: number }
  | { readonly kind: 'commit'; readonly endPosition: bigint; readonly committedAtMs: number }
  | RelationMessage
  | { readonly kind: 'insert'; readonly oid: number; readonly new: Tuple }
  | { readonly kind: 'update'; readonly oid: number; readonly old: OldTuple | undefined; readonly new: Tuple }
  | { readonly kind: 'delete'; readonly oid: number; readonly old: OldTuple }
  | { readonly kind: 'truncate'; readonly oids: readonly number[] }
  | {
      readonly kind: 'message';
      readonly transactional: boolean;
      readonly position: bigint;
      readonly prefix: string;
      readonly content: string;
    }
  /** A row of a table whose rows the caller no longer wants. */
  | { readonly kind: 'skipped'; readonly oid: number }
  /** Nothing that matters here: the origin of a replicated transaction, the name of a type. */
  | { readonly kind: 'ignored' };

/** PostgreSQL counts microseconds from 2000-01-01. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

/** Messages of other programs may be large; only ours are read. */
const MESSAGE_PREFIX = 'vazao.';

const IDENTITIES: Readonly<Record<string, ReplicaIdentity>> = { d: 'default', n: 'nothing', f: 'full', i: 'index' };
const IGNORED: PgoutputMessage = { kind: 'ignored' };

/**
 * Decodes one message, from `offset` to the end of the buffer. `skipsRowsOf` names tables whose rows need not be decoded:
 * a bulk update of ten million rows then costs five bytes each. Throws {@link FeedError} on anything it does not know.
 */
export function decodePgoutput(buffer: Buffer, offset: number, skipsRowsOf: (oid: number) => boolean): PgoutputMessage {
  const reader = new ByteReader(buffer, offset);
  const tag = String.fromCharCode(reader.uint8());
  switch (tag) {
    case 'B':
      reader.skip(8); // position of the commit record; Commit repeats it, with the end
      return { kind: 'begin', committedAtMs: readTime(reader), xid32: reader.uint32() };
    case 'C':
      reader.skip(1 + 8); // flags (unused) and the position of the commit record
      return { kind: 'commit', endPosition: reader.uint64(), committedAtMs: readTime(reader) };
    case 'R':
      return readRelation(reader);
    case 'I': {
      const oid = reader.uint32();
      if (skipsRowsOf(oid)) return { kind: 'skipped', oid };
      expectTag(reader.uint8(), 'N');
      return complete(reader, { kind: 'insert', oid, new: readTuple(reader) });
    }
    case 'U': {
      const oid = reader.uint32();
      return skipsRowsOf(oid) ? { kind: 'skipped', oid } : complete(reader, readUpdate(reader, oid));
    }
    case 'D': {
      const oid = reader.uint32();
      if (skipsRowsOf(oid)) return { kind: 'skipped', oid };
      return complete(reader, { kind: 'delete', oid, old: readOld(reader, reader.uint8()) });
    }
    case 'T': {
      const count = reader.uint32();
      reader.skip(1); // CASCADE and RESTART IDENTITY: the cascaded tables are listed, sequences are not followed
      return complete(reader, { kind: 'truncate', oids: Array.from({ length: count }, () => reader.uint32()) });
    }
    case 'M':
      return readMessage(reader);
    case 'O':
    case 'Y':
      return IGNORED;
    default:
      throw new FeedError('ERR_FEED_PROTOCOL', `Unknown replication message ${JSON.stringify(tag)}.`);
  }
}

function readUpdate(reader: ByteReader, oid: number): PgoutputMessage {
  const tag = reader.uint8();
  if (tag === NEW) return { kind: 'update', oid, old: undefined, new: readTuple(reader) };
  const old = readOld(reader, tag);
  expectTag(reader.uint8(), 'N');
  return { kind: 'update', oid, old, new: readTuple(reader) };
}

const NEW = 'N'.charCodeAt(0);

function readOld(reader: ByteReader, tag: number): OldTuple {
  const letter = String.fromCharCode(tag);
  if (letter !== 'K' && letter !== 'O') throw unexpected(letter, 'K or O');
  return { kind: letter === 'K' ? 'key' : 'full', values: readTuple(reader) };
}

function readTuple(reader: ByteReader): Tuple {
  const count = reader.uint16();
  const tuple: Tuple = new Array(count);
  for (let column = 0; column < count; column++) {
    const letter = String.fromCharCode(reader.uint8());
    if (letter === 't') tuple[column] = reader.text(reader.int32());
    else if (letter === 'n') tuple[column] = null;
    else if (letter === 'u') tuple[column] = undefined;
    else if (letter === 'b') {
      reader.skip(reader.int32());
      tuple[column] = undefined;
    } else throw unexpected(letter, 't, n, u or b');
  }
  return tuple;
}

function readRelation(reader: ByteReader): PgoutputMessage {
  const oid = reader.uint32();
  const schema = reader.cstring() || 'pg_catalog'; // sent as the empty text
  const name = reader.cstring();
  const letter = String.fromCharCode(reader.uint8());
  const identity = IDENTITIES[letter];
  if (identity === undefined) throw unexpected(letter, 'd, n, f or i');
  const columns: RelationColumn[] = [];
  for (let count = reader.uint16(); count > 0; count--) {
    columns.push({
      key: (reader.uint8() & 1) === 1,
      name: reader.cstring(),
      typeOid: reader.uint32(),
      typeModifier: reader.int32(),
    });
  }
  return complete(reader, { kind: 'relation', oid, schema, name, identity, columns });
}

function readMessage(reader: ByteReader): PgoutputMessage {
  const transactional = (reader.uint8() & 1) === 1;
  const position = reader.uint64();
  const prefix = reader.cstring();
  const length = reader.uint32();
  if (!prefix.startsWith(MESSAGE_PREFIX)) return IGNORED;
  return complete(reader, { kind: 'message', transactional, position, prefix, content: reader.text(length) });
}

function readTime(reader: ByteReader): number {
  return POSTGRES_EPOCH_MS + Number(reader.int64()) / 1000;
}

/** Bytes left over mean that the message was not what it was taken for. */
function complete<Message extends PgoutputMessage>(reader: ByteReader, message: Message): Message {
  if (reader.remaining !== 0) {
    throw new FeedError('ERR_FEED_PROTOCOL', `A ${message.kind} message has ${reader.remaining} bytes too many.`);
  }
  return message;
}

function expectTag(actual: number, expected: string): void {
  if (actual !== expected.charCodeAt(0)) throw unexpected(String.fromCharCode(actual), expected);
}

function unexpected(actual: string, expected: string): FeedError {
  return new FeedError(
    'ERR_FEED_PROTOCOL',
    `Replication message: found ${JSON.stringify(actual)} where ${expected} must stand.`,
  );
}
