/**
 * Who may see where the time goes. Not everybody: how long a statement took, or that there was none, tells of rows that a
 * caller may not read (does this user exist, has that page been asked for).
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { HttpError } from '../errors.ts';

export interface TimingOptions {
  /**
   * Who gets the `Server-Timing` field.
   * - `'everybody'`: for development; refused when `NODE_ENV` is `production`.
   * - `'token'`: whoever sends a {@link createTimingToken} of the plugin's `secret` in the field `vazao-timing`.
   * - a function: asked with each request, before any hook. What throws counts as no.
   */
  readonly visibleTo: 'everybody' | 'token' | ((request: IncomingMessage) => boolean);
}

/** Who may see the timings, and what of a request says so. */
export type Visibility =
  | { readonly reads: 'request'; readonly isVisibleTo: (request: IncomingMessage) => boolean }
  | { readonly reads: 'fields'; readonly isVisibleTo: (request: Pick<IncomingMessage, 'rawHeaders'>) => boolean };

const TIMING_HEADER = 'vazao-timing';
const TOKEN = /^(\d{1,12})\.([\w-]{43})$/;
const LIFE_MAX_S = 30 * 24 * 3_600;

/**
 * A token with which its bearer sees the timings of an application, until it ends: send it as `vazao-timing`.
 * @param secret - of the application (`VAZAO_SECRET`)
 * @param expiresAt - milliseconds since 1970, at most 30 days ahead
 */
export function createTimingToken(secret: string, expiresAt: number): string {
  const seconds = String(Math.floor(expiresAt / 1_000));
  return `${seconds}.${sign(deriveKey(secret), seconds).toString('base64url')}`;
}

/** Undefined when nobody is to see anything. Throws {@link HttpError}. */
export function createVisibility(
  options: TimingOptions | undefined,
  secret: string | undefined,
): Visibility | undefined {
  if (!options) return undefined;
  const { visibleTo } = options;
  if (visibleTo === 'everybody') {
    if (process.env.NODE_ENV !== 'production') return { reads: 'fields', isVisibleTo: () => true };
    throw new HttpError(
      'ERR_HTTP_TIMING',
      "timing.visibleTo is 'everybody', which tells strangers how long each statement took. In production take 'token', or a function.",
    );
  }
  if (visibleTo === 'token') {
    if (secret !== undefined) return { reads: 'fields', isVisibleTo: createTokenCheck(secret) };
    throw new HttpError('ERR_HTTP_TIMING', "timing.visibleTo is 'token', which needs the plugin's option `secret`.");
  }
  return {
    reads: 'request',
    isVisibleTo(request) {
      try {
        return visibleTo(request) === true;
      } catch {
        return false;
      }
    },
  };
}

function createTokenCheck(secret: string): (request: Pick<IncomingMessage, 'rawHeaders'>) => boolean {
  const key = deriveKey(secret);
  return ({ rawHeaders }) => {
    const at = rawHeaders.findIndex((name, i) => i % 2 === 0 && isTimingHeader(name));
    const match = at < 0 ? null : TOKEN.exec(rawHeaders[at + 1] as string);
    if (!match) return false;
    const [, seconds = '', signature = ''] = match;
    if (!timingSafeEqual(Buffer.from(signature, 'base64url'), sign(key, seconds))) return false;
    const leftS = Number(seconds) - Date.now() / 1_000;
    return leftS > 0 && leftS <= LIFE_MAX_S;
  };
}

/** In the raw list: Node makes `request.headers` when it is first asked for, which would double the cost of a hit. */
function isTimingHeader(name: string): boolean {
  return name.length === TIMING_HEADER.length && name.toLowerCase() === TIMING_HEADER;
}

function deriveKey(secret: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', 'vazao timing token', 32));
}

function sign(key: Buffer, seconds: string): Buffer {
  return createHmac('sha256', key).update(seconds).digest();
}
