/**
 * The form in which values are kept: bytes. Each reader gets a copy of its own, so nobody can change what others get; it may
 * be changed freely. Freezing one copy for all would be cheaper and was rejected: rows of `pg` hold Dates and Buffers, which
 * can't be frozen. Bytes also say exactly what a value takes.
 */
import { deserialize, serialize } from 'node:v8';

export interface Codec {
  encode(value: unknown): Uint8Array;
  /** Must not hand out the bytes themselves. */
  decode(bytes: Uint8Array): unknown;
}

/** Dates, Maps, Sets, Buffers and cycles come back as they were: the structured clone algorithm. */
export const structuredCodec: Codec = {
  encode(value) {
    const found = findUnkept(value, 'value', new Set());
    if (found !== undefined) throw new TypeError(found);
    return serialize(value);
  },
  // Typed arrays come as views of what they are read from.
  decode: (bytes) => deserialize(Uint8Array.from(bytes)),
};

/** What `JSON.parse` makes of it; faster than the other for plain rows, and a Date becomes a text. */
export const jsonCodec: Codec = {
  encode: (value) => Buffer.from(JSON.stringify(value) ?? 'null'),
  decode: (bytes) => JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()),
};

const KEPT_CLASSES: readonly (abstract new (...args: never) => object)[] = [
  Date,
  RegExp,
  Boolean,
  Number,
  String,
  Error,
  ArrayBuffer,
];

/** The first thing in a value that structured clone would refuse, or silently turn into something else. */
function findUnkept(value: unknown, path: string, seen: Set<object>): string | undefined {
  if (typeof value === 'function' || typeof value === 'symbol') return `\`${path}\` is a ${typeof value}`;
  if (typeof value !== 'object' || value === null || seen.has(value)) return undefined;
  seen.add(value);
  if (ArrayBuffer.isView(value) || KEPT_CLASSES.some((kept) => value instanceof kept)) return undefined;
  if (Array.isArray(value)) return findFirst(value.entries(), (at) => `${path}[${at}]`, seen);
  if (value instanceof Map) return findFirst(value, (key) => `${path}.get(${String(key)})`, seen);
  if (value instanceof Set) return findFirst([...value].entries(), (at) => `${path}, element ${at},`, seen);
  const prototype = Object.getPrototypeOf(value) as object | null;
  // Another realm's `Object.prototype` has no prototype either.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null)
    return `\`${path}\` is of the class ${prototype.constructor?.name ?? '(unnamed)'}`;
  return findFirst(Object.entries(value), (name) => `${path}.${name}`, seen);
}

function findFirst(
  entries: Iterable<readonly [unknown, unknown]>,
  pathOf: (key: unknown) => string,
  seen: Set<object>,
): string | undefined {
  for (const [key, value] of entries) {
    const found = findUnkept(value, pathOf(key), seen);
    if (found !== undefined) return found;
  }
  return undefined;
}
