import { STATUS_CODES } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BARE_FIELDS } from '../bare-fields.ts';

/**
 * Answers what Fastify can't route (a path that is no text, a parameter that is too long), for the option `frameworkErrors` of
 * `fastify`. No hook sees such a request, so the headers are given here; and the path is not repeated, as Fastify would.
 */
export function answerUnroutable(
  error: { readonly statusCode?: number | undefined; readonly code: string },
  _request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { statusCode = 400, code } = error;
  const body = JSON.stringify({ type: 'about:blank', title: STATUS_CODES[statusCode], status: statusCode, code });
  reply.raw.writeHead(statusCode, [
    'content-type',
    'application/problem+json',
    'content-length',
    String(Buffer.byteLength(body)),
    ...BARE_FIELDS,
  ]);
  reply.raw.end(body);
}
