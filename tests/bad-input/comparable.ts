/** What answers have in common that must be alike. */
import type { RawAnswer, RawExchange } from '../../packages/vazao/src/testing/raw-http.ts';

/** What differs between two sendings of one answer. */
const OF_A_SENDING = ['date', 'cache-status', 'vazao-position'];
/** What only an answer of the cache has, or only one that was just computed. */
const OF_THE_CACHE = ['accept-ranges', 'content-length', 'transfer-encoding', 'etag'];
/** What the cache says where the application says nothing: that whoever keeps the answer asks again. */
const CACHE_CONTROL = /^(public|private), no-cache$/;
/** What the handlers read of a request, and what a coding is chosen by. */
const VARY = ['x-user', 'host', 'accept-encoding'];
/** The token is encrypted, with a nonce. */
const POSITION_COOKIE = /^vazao-position=[\w-]+(; Max-Age=30; Path=\/; HttpOnly; SameSite=Lax)$/;

/** What a server with a cache and one without must answer alike. */
export function comparable({ answers }: RawExchange): unknown[] {
  return answers.map((answer) => pick(withoutDefaults(answer), [...OF_A_SENDING, ...OF_THE_CACHE]));
}

/** What one server must answer alike at any time. */
export function comparableInTime({ answers }: RawExchange): unknown[] {
  return answers.map((answer) => pick(answer, OF_A_SENDING));
}

function pick({ status, headers, body }: RawAnswer, without: readonly string[]): unknown {
  const { 'set-cookie': cookie, ...others } = headers;
  const fields = Object.entries(others).filter(([name]) => !without.includes(name));
  const cookies = cookie && { 'set-cookie': cookie.replace(POSITION_COOKIE, 'vazao-position$1') };
  return { status, fields: { ...Object.fromEntries(fields), ...cookies }, body };
}

/**
 * Without what differs legitimately; anything else stays, and is a difference: one more member of `Vary`, or that the answer may be
 * kept for long. Where Node refuses a field at the last moment, Fastify alone answers without a type; the plugin notices before.
 */
function withoutDefaults(answer: RawAnswer): RawAnswer {
  const { 'content-type': _, ...headers } = answer.headers;
  const isRefusedByNode = answer.status === 500 && answer.body.includes('"code":"ERR_INVALID_CHAR"');
  const typed = isRefusedByNode ? { ...answer, headers } : answer;
  return headers['cache-status'] === undefined ? typed : withoutCacheDefaults(typed);
}

function withoutCacheDefaults(answer: RawAnswer): RawAnswer {
  const { 'cache-control': control, vary, ...headers } = answer.headers;
  const others = vary?.split(', ').filter((name) => !VARY.includes(name)) ?? [];
  return {
    ...answer,
    headers: {
      ...headers,
      ...(control !== undefined && !CACHE_CONTROL.test(control) && { 'cache-control': control }),
      ...(others.length > 0 && { vary: others.join(', ') }),
    },
  };
}
