import { hash } from 'node:crypto';
import { CacheError } from './errors.ts';

/** What a key may be made of. A number differs from its text, and `null` from what is absent. */
export type KeyPart = string | number | bigint | boolean | null | undefined;

/**
 * Names a computation with its arguments: a name, or a list of a name and arguments. Not what it depends on, nor when it
 * ends: both are found out.
 */
export type Key = string | readonly KeyPart[];

/** Longer keys are known by their hash. */
const LENGTH_MAX = 200;
const KINDS = new Set(['string', 'number', 'bigint', 'boolean', 'undefined']);

/** One text for each key, and different ones for different keys. Throws {@link CacheError}. */
export function writeKey(key: Key): string {
  const text = typeof key === 'string' ? `s${key}` : `l${JSON.stringify(listParts(key))}`;
  return text.length <= LENGTH_MAX ? text : `#${hash('sha256', text, 'base64url')}`;
}

function listParts(key: readonly KeyPart[]): string[] {
  if (!Array.isArray(key) || key.length === 0)
    throw new CacheError('ERR_CACHE_KEY', 'A key is a text, or a list: of a name and its arguments, `["livro", id]`.');
  return key.map((part, at) => {
    if (part === null) return '';
    if (KINDS.has(typeof part)) return `${typeof part} ${String(part)}`;
    throw new CacheError(
      'ERR_CACHE_KEY',
      `Part ${at} of the key is ${Array.isArray(part) ? 'a list' : `of type ${typeof part}`}; a part is a text, a number, a bigint, a boolean, null or undefined.`,
    );
  });
}
