/**
 * Answers that say 401 or 403, each in a line of the log: who was refused, and why (OWASP ASVS 5.0, 16.3.2). What was asked for,
 * and from where, stands in the lines that every request has.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { failureOf } from './failure.ts';

export function logDenials(app: FastifyInstance): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { statusCode: status } = reply;
    if (status === 401 || status === 403) {
      request.log.info({ status, user: findUser(request), reason: findReason(reply) }, 'denied');
    }
    done();
  });
}

/** Null: nobody, or nobody that could be known. */
function findUser(request: FastifyRequest): string | null {
  try {
    return request.user?.id ?? null;
  } catch {
    return null;
  }
}

/** The code of what was thrown, or its words; null where a handler sent the status itself. */
function findReason(reply: FastifyReply): string | null {
  const failure = failureOf(reply) as (Error & { readonly code?: unknown }) | undefined;
  if (!failure) return null;
  return typeof failure.code === 'string' ? failure.code : failure.message;
}
