/** How many requests in which time. */
import { type Duration, parseDuration } from '../../cache/index.ts';
import { HttpError } from '../errors.ts';

/** So many requests in so much time. */
export interface Rate {
  /** At least 1. */
  readonly requests: number;
  /** From a second to 30 days; the fields that tell of it count in whole seconds. */
  readonly window: Duration;
}

export interface ResolvedRate {
  readonly requests: number;
  readonly windowMs: number;
}

const WINDOW_MIN_MS = 1_000;
const WINDOW_MAX_MS = 30 * 86_400_000;
const REQUESTS_MAX = 1_000_000_000;

/** Throws {@link HttpError}. */
export function resolveRate({ requests, window }: Rate, what: string): ResolvedRate {
  const windowMs = parseDuration(window);
  if (!Number.isInteger(requests) || requests < 1 || requests > REQUESTS_MAX)
    throw new HttpError('ERR_HTTP_LIMITS_OPTIONS', `${what}: requests is ${requests}; write a whole number from 1.`);
  if (windowMs === undefined || windowMs < WINDOW_MIN_MS || windowMs > WINDOW_MAX_MS)
    throw new HttpError(
      'ERR_HTTP_LIMITS_OPTIONS',
      `${what}: window is ${JSON.stringify(window)}; write a time from '1s' to '30d'.`,
    );
  return { requests, windowMs };
}

/** Reads `60/1m`; undefined when the text is none. */
export function parseRate(text: string): Rate | undefined {
  const match = /^(\d{1,9})\/(\d+(?:ms|s|m|h|d))$/.exec(text.trim());
  if (!match) return undefined;
  const rate = { requests: Number(match[1]), window: match[2] as Duration };
  const windowMs = parseDuration(rate.window) as number;
  return rate.requests >= 1 && windowMs >= WINDOW_MIN_MS && windowMs <= WINDOW_MAX_MS ? rate : undefined;
}
