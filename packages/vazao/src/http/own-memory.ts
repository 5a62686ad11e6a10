/**
 * Node cuts small buffers out of a common piece of 64 KiB (`Buffer.poolSize`), which stays as long as any of them does: of what is kept
 * for long, each would keep what was made beside it. Those of zlib and of sockets are cut out of larger ones, too.
 */
export function inOwnMemory(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength === bytes.length) return bytes;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}
