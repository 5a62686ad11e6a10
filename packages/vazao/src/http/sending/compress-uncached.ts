/**
 * Compresses the answers that are not cached: texts and buffers, as the last of the `onSend` hooks, so that those of the
 * application see what its handlers have sent. Streams pass as they are: what a handler sends bit by bit would otherwise
 * arrive when enough of it has come together.
 */
import type { FastifyReply, FastifyRequest, onSendHookHandler, RouteOptions } from 'fastify';
import { STATE } from '../request-state.ts';
import { mayHaveCodings } from '../stored-response.ts';
import type { Compression } from './compression.ts';
import { acceptableCodings, type Coding, ENCODED_MIN_BYTES } from './content-coding.ts';
import { readSendingFields } from './preconditions.ts';

/** Adds the hook to a route, after its own. */
export function addCompressionHook(route: RouteOptions, compression: Compression): void {
  if (route.config?.compress === false) return;
  const hook: onSendHookHandler<unknown> = (request, reply, payload, done) => {
    // A fill keeps the answer as it is, and sends its codings.
    const coding = request[STATE]?.observation ? undefined : negotiate(request, reply, payload);
    if (coding === undefined) done(null, payload);
    else void compress(reply, payload as string | Buffer, coding, compression).then((sent) => done(null, sent));
  };
  route.onSend = [...[route.onSend ?? []].flat(), hook] as never;
}

/** The coding that the answer gets for its client; undefined: none. */
function negotiate(request: FastifyRequest, reply: FastifyReply, payload: unknown): Coding | undefined {
  const isHead = request.method === 'HEAD';
  const bytes = isHead ? Number(reply.getHeader('content-length') ?? 0) : findBytes(payload);
  if (bytes < ENCODED_MIN_BYTES || !mayHaveCodings(reply.statusCode, reply.getHeaders(), bytes)) return undefined;
  addVary(reply);
  const coding = acceptableCodings(readSendingFields(request.raw.rawHeaders).acceptEncoding)[0];
  if (coding === undefined || coding === 'identity') return undefined;
  if (!isHead) return coding;
  // That of the GET's answer, which nobody knows here.
  reply.removeHeader('content-length');
  return undefined;
}

async function compress(
  reply: FastifyReply,
  payload: string | Buffer,
  coding: Coding,
  compression: Compression,
): Promise<string | Buffer> {
  const encoded = await compression.encodeOnce(coding, typeof payload === 'string' ? Buffer.from(payload) : payload);
  if (!encoded) return payload;
  reply.header('content-encoding', coding);
  reply.removeHeader('content-length');
  const etag = reply.getHeader('etag');
  // The bytes are others than those that the application has given the tag.
  if (typeof etag === 'string' && !etag.startsWith('W/')) reply.header('etag', `W/${etag}`);
  return encoded;
}

function findBytes(payload: unknown): number {
  if (typeof payload === 'string') return Buffer.byteLength(payload);
  return Buffer.isBuffer(payload) ? payload.length : 0;
}

function addVary(reply: FastifyReply): void {
  const before = [reply.getHeader('vary') ?? []].flat().join(', ');
  if (/(?:^|,)\s*(?:\*|accept-encoding)\s*(?:,|$)/i.test(before)) return;
  reply.header('vary', before === '' ? 'accept-encoding' : `${before}, accept-encoding`);
}
