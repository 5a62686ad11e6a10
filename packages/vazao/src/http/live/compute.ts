/** One computation of an answer for those who follow it: the request of one of them, run through the whole application. */
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import { isPassing } from '../../cache/index.ts';
import { type Asking, ask, type Repeat } from '../repeat.ts';
import type { StoredResponse } from '../stored-response.ts';

export type Computed =
  /** The answer is kept, or was a moment ago: its entry tells when it ends. */
  | { readonly kind: 'kept'; readonly key: string; readonly stored: StoredResponse }
  /** An answer, but one that is not kept this time. */
  | { readonly kind: 'passing'; readonly code: string; readonly stored: StoredResponse | undefined }
  /** The server can't answer now: status 500 and above, or 429. */
  | { readonly kind: 'failed'; readonly status: number; readonly answer: LightMyRequestResponse }
  /** The answer is none that could be followed: 401, 403, a redirect that is not kept … */
  | { readonly kind: 'refused'; readonly status: number; readonly answer: LightMyRequestResponse }
  /** Answers of this route are not kept, so nobody would know when they change. */
  | { readonly kind: 'uncacheable'; readonly code: string }
  /** The application closes. */
  | { readonly kind: 'closing' };

export async function compute(app: FastifyInstance, asking: Asking): Promise<Computed> {
  const repeat: Repeat = { code: 'live', detail: 'An answer is computed for those who follow it.' };
  const answer = await ask(app, asking, repeat);
  if (!answer) return { kind: 'closing' };
  const { recomputed } = repeat;
  const status = answer.statusCode;
  if (status >= 500 || status === 429) return { kind: 'failed', status, answer };
  if (!recomputed || recomputed.stored.status !== status) {
    if (!FOLLOWED.has(status)) return { kind: 'refused', status, answer };
    const code = /detail="(?:not stored: )?([\w-]+)"/.exec(String(answer.headers['cache-status'] ?? ''))?.[1];
    return code && isPassing(code)
      ? { kind: 'passing', code, stored: undefined }
      : { kind: 'uncacheable', code: code ?? 'bypass' };
  }
  const { key, stored, notStored } = recomputed;
  if (!notStored) return { kind: 'kept', key, stored };
  if (!FOLLOWED.has(status)) return { kind: 'refused', status, answer };
  return isPassing(notStored.code)
    ? { kind: 'passing', code: notStored.code, stored }
    : { kind: 'uncacheable', code: notStored.code };
}

/** A stream goes on with these: what is gone may come back. */
export const FOLLOWED: ReadonlySet<number> = new Set([200, 203, 404, 410]);
