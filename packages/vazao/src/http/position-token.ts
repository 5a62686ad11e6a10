/**
 * The position of a client's last write, carried by the client: read-your-writes where the local feed has not caught up
 * in time, or where the next request goes to another host.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { formatLsn, parseLsn } from '../feed/index.ts';

export const POSITION_HEADER = 'vazao-position';
const COOKIE = 'vazao-position';
const COOKIE_MAX_AGE_S = 30;

/** The position that the client has seen; undefined when it names none. What can't be read is ignored. */
export function readPositionToken(headers: IncomingHttpHeaders): bigint | undefined {
  const header = headers[POSITION_HEADER];
  const text = typeof header === 'string' ? header : cookieValue(headers.cookie);
  if (text === undefined || !/^[0-9A-Fa-f]{1,8}[/-][0-9A-Fa-f]{1,8}$/.test(text)) return undefined;
  return parseLsn(text.replace('-', '/'));
}

/** Whether to look closer. */
export function mayHavePositionToken(cookies: string | undefined): boolean {
  return cookies?.includes(COOKIE) ?? false;
}

export function formatPositionToken(position: bigint): string {
  return formatLsn(position);
}

/** A short-lived cookie for browsers, which do not send our header. */
export function positionCookie(position: bigint): string {
  return `${COOKIE}=${formatLsn(position).replace('/', '-')}; Max-Age=${COOKIE_MAX_AGE_S}; Path=/; HttpOnly; SameSite=Lax`;
}

function cookieValue(cookies: string | undefined): string | undefined {
  if (!cookies?.includes(COOKIE)) return undefined;
  return cookies
    .split(';')
    .map((pair) => pair.trim())
    .find((pair) => pair.startsWith(`${COOKIE}=`))
    ?.slice(COOKIE.length + 1);
}
