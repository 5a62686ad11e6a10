/**
 * Packages that only a part of the library needs: whoever wants the cache alone does not install a web server. They are
 * optional peers in package.json, which says the versions, and are loaded when they are first used.
 */
import { readFileSync } from 'node:fs';

/** A package that is not installed. The message says which command installs it. */
export class PeerError extends Error {
  override readonly name = 'PeerError';
  readonly code = 'ERR_PEER_MISSING';
  /** What to install. */
  readonly peer: string;

  constructor(peer: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.peer = peer;
  }
}

/**
 * Imports an optional peer: `loadPeer<typeof import('ioredis')>('ioredis', 'The second tier')`. Give the type in this form,
 * by which the check for unused packages finds it.
 * @param name - as in `peerDependencies`
 * @param why - what needs it, as the beginning of a sentence
 * Throws {@link PeerError} when it is not installed; what the package itself throws passes.
 */
export async function loadPeer<T>(name: string, why: string): Promise<T> {
  try {
    // A name that bundlers can't see: they would ask for the package of everybody.
    return (await import(/* webpackIgnore: true */ /* @vite-ignore */ name)) as T;
  } catch (cause) {
    throw isMissing(cause, name) ? createError(name, why, cause) : cause;
  }
}

/** The same for a package whose code is not run. Throws {@link PeerError} when it is not installed. */
export function assertPeer(name: string, why: string): void {
  try {
    import.meta.resolve(name);
  } catch (cause) {
    throw isMissing(cause, name) ? createError(name, why, cause) : cause;
  }
}

function createError(name: string, why: string, cause: unknown): PeerError {
  const command = `npm install ${nameWithVersion(name)}`;
  const message = `${why} needs the package \`${name}\`, which is not installed: \`${command}\`.`;
  return new PeerError(name, message, { cause });
}

/** Not one that the package in its turn asks for. */
function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return code === 'ERR_MODULE_NOT_FOUND' && String(message).includes(`'${name}'`);
}

/** The version that is tested; npm writes it down as the lowest of a range. */
function nameWithVersion(name: string): string {
  // Two folders up in the sources and in `dist/` alike.
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { peerDependencies = {} } = JSON.parse(manifest) as { peerDependencies?: Record<string, string> };
  const version = peerDependencies[name]?.replace(/^[\^~]|^>=/, '');
  return version === undefined ? name : `${name}@${version}`;
}
