/** Which answers may not be kept, by what they say themselves. */
import type { Fill } from '../cache/index.ts';
import type { CacheValue } from './lookup.ts';
import type { CapturedResponse } from './stored-response.ts';

/** Statuses that RFC 9111 lets a cache keep without being told, of those that a GET of ours may have. */
const STATUSES_STORED = new Set([200, 203, 204, 300, 301, 308, 404, 410]);

/** Finds reasons in the response itself why it may not be kept. */
export function judge(
  { status, headers, body }: CapturedResponse,
  fill: Fill<CacheValue>,
  requestId: string | undefined,
): void {
  if (requestId !== undefined && mayHoldId(requestId, headers, body)) {
    fill.abandon('request-id', 'The answer holds the id of the request.');
  }
  if (headers['set-cookie'] !== undefined)
    fill.abandon('set-cookie', 'The answer sets a cookie, which is for one client.');
  const cacheControl = String(headers['cache-control'] ?? '').toLowerCase();
  if (cacheControl.includes('no-store')) fill.abandon('no-store', 'The handler said `Cache-Control: no-store`.');
  if (String(headers.vary ?? '').includes('*')) fill.abandon('vary', 'The handler said `Vary: *`.');
  if (hasNonce(headers))
    fill.abandon('csp-nonce', 'The policy of the answer has a nonce. Name inline scripts by hash.');
  if (headers.trailer !== undefined) fill.abandon('trailer', 'The answer has trailers.');
  if (status >= 500) fill.abandon('failed', `The handler answered ${status}.`);
  else if (!STATUSES_STORED.has(status)) fill.abandon('status', `Answers with status ${status} are not kept.`);
}

/** An id that stands in the answer as it is, or that escaping (JSON, HTML, URLs) would change, so that it can't be found. */
function mayHoldId(id: string, headers: CapturedResponse['headers'], body: Buffer): boolean {
  if (!/^[\w.-]+$/.test(id) || body.includes(id)) return true;
  // A field that is the id and nothing else is left out of what is kept.
  return Object.values(headers).some((value) => value !== id && String(value ?? '').includes(id));
}

/** A nonce is for one sending (CSP 3, 2.3): who can read it in a shared answer can inject a script that has it. */
function hasNonce(headers: CapturedResponse['headers']): boolean {
  return ['content-security-policy', 'content-security-policy-report-only'].some((name) =>
    /'nonce-/i.test(String(headers[name] ?? '')),
  );
}
