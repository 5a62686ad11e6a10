/** An answer of a route of another framework: what is kept of it, and how it is given. */
import { hash } from 'node:crypto';
import { matchesEtag } from '../http/sending/preconditions.ts';

export interface Answer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Uint8Array;
}

/** Statuses that RFC 9111 lets a cache keep without being told, of those that a GET may have. */
const STATUSES_STORED = new Set([200, 203, 204, 300, 301, 308, 404, 410]);
/** What the server writes itself, or what belongs to one sending. */
const NOT_STORED = new Set([
  'connection',
  'content-length',
  'cache-status',
  'date',
  'keep-alive',
  'server-timing',
  'transfer-encoding',
]);
/** What a 304 repeats (RFC 9110, 15.4.5). */
const ON_NOT_MODIFIED = new Set(['cache-control', 'content-location', 'etag', 'expires', 'vary', 'cache-status']);
const ENTRY_OVERHEAD_BYTES = 200;

/** Why an answer may not be kept, by what it says itself. */
export function findReason(
  { status, headers }: Answer,
  isPersonal: boolean,
): { readonly code: string; readonly detail: string } | undefined {
  const cacheControl = String(headers['cache-control'] ?? '').toLowerCase();
  if (headers['set-cookie'] !== undefined)
    return { code: 'set-cookie', detail: 'The answer sets a cookie, which is for one client.' };
  if (/\bno-store\b/.test(cacheControl))
    return { code: 'no-store', detail: 'The handler said `Cache-Control: no-store`.' };
  if (/\bprivate\b/.test(cacheControl) && !isPersonal)
    return {
      code: 'private',
      detail: 'The handler said `Cache-Control: private`; name a `key` that tells its readers apart.',
    };
  if (String(headers.vary ?? '').includes('*')) return { code: 'vary', detail: 'The handler said `Vary: *`.' };
  if (headers.trailer !== undefined) return { code: 'trailer', detail: 'The answer has trailers.' };
  if (status >= 500) return { code: 'failed', detail: `The handler answered ${status}.` };
  if (!STATUSES_STORED.has(status)) return { code: 'status', detail: `Answers with status ${status} are not kept.` };
  return undefined;
}

/** Adds what a client needs to ask again cheaply, and what caches beyond us must know. */
export function complete(answer: Answer, varyNames: readonly string[], isPersonal: boolean): Answer {
  const headers = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !NOT_STORED.has(name)));
  headers.etag ??= `"${hash('sha1', answer.body, 'base64url')}"`;
  // Whoever keeps a copy asks before using it: we alone know when it ends.
  headers['cache-control'] ??= isPersonal ? 'private, no-cache' : 'public, no-cache';
  const vary = new Set([...readVary(answer), ...varyNames]);
  if (vary.size > 0) headers.vary = [...vary].join(', ');
  return { ...answer, headers };
}

/** Lower-case names that the answer says it depends on. */
export function readVary({ headers }: Answer): string[] {
  const names = [headers.vary ?? ''].flat().join(',').split(',');
  return names.map((name) => name.trim().toLowerCase()).filter((name) => name !== '' && name !== '*');
}

export function bytesOf({ headers, body }: Answer): number {
  return ENTRY_OVERHEAD_BYTES + body.length + JSON.stringify(headers).length;
}

/** What to send to a client that has named what it holds; a 304 where it is the same. */
export function prepare(answer: Answer, condition: string | undefined, cacheStatus: string): Answer {
  const headers = { ...answer.headers, 'cache-status': cacheStatus };
  const { etag } = headers as Answer['headers'];
  if (condition === undefined || answer.status !== 200 || etag === undefined || !matchesEtag(condition, String(etag)))
    return { ...answer, headers };
  const kept = Object.entries(headers).filter(([name]) => ON_NOT_MODIFIED.has(name));
  return { status: 304, headers: Object.fromEntries(kept), body: new Uint8Array(0) };
}
