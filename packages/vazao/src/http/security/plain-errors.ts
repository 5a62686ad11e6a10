/**
 * Failures without words of the inside: where no error handler of the application speaks, Fastify answers with the message
 * of what was thrown, which may be PostgreSQL's, with names of tables and values in it. The log has it whole.
 */
import { STATUS_CODES } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { failureOf } from './failure.ts';

/** Codes that tell nothing of the inside: Fastify's, and ours. */
const PUBLIC_CODES = /^(FST_|ERR_SECURITY_|ERR_LIMITS?_)/;

export function registerPlainErrors(app: FastifyInstance): void {
  app.addHook('onSend', (_request, reply, payload, done) => {
    const error = failureOf(reply);
    if (error === undefined || reply.statusCode < 500 || typeof payload !== 'string') return done(null, payload);
    done(null, toPlain(payload, error, reply.statusCode) ?? payload);
  });
}

/** The answer in Fastify's form without the error's own words; undefined for an answer of another form. */
function toPlain(payload: string, error: Error, statusCode: number): string | undefined {
  let body: { readonly message?: unknown; readonly statusCode?: unknown };
  try {
    body = JSON.parse(payload);
  } catch {
    return undefined; // the application's own
  }
  if (body?.message !== error.message || body.statusCode !== statusCode) return undefined;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && PUBLIC_CODES.test(code)) return undefined;
  const name = STATUS_CODES[statusCode] ?? 'Error';
  return JSON.stringify({ statusCode, error: name, message: name });
}
