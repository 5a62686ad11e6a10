/** `GET /metrics`: for whoever runs the server, and nobody else. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { isFromLoopback } from '../http/index.ts';
import { CONTENT_TYPE } from './exposition.ts';
import { type SeatFigures, writeMetrics } from './metrics.ts';

export interface MetricsOptions {
  /** Whoever sends it may read; undefined: whoever is on this machine. */
  readonly token: string | undefined;
  /** The figures of all workers; undefined when they can't be had. */
  readonly findWorkers: () => Promise<readonly SeatFigures[] | undefined>;
}

/** Fields that proxies add. A proxy on this machine is on it, and the callers that it speaks for are not. */
const OF_PROXIES = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'];

/** An application that has a route of that name keeps it. */
export function registerMetrics(app: FastifyInstance, { token, findWorkers }: MetricsOptions): void {
  if (app.hasRoute({ method: 'GET', url: '/metrics' })) return;
  const mayRead = token === undefined ? isDirect : createTokenCheck(token);
  app.get(
    '/metrics',
    { logLevel: 'silent', config: { class: 'health', limit: false }, schema: { hide: true } as object },
    async (request, reply) => {
      if (!mayRead(request.raw)) return reply.callNotFound();
      reply.header('cache-control', 'no-store');
      const workers = await findWorkers();
      // A part would look as if counters had gone back.
      if (!workers) return reply.code(503).send();
      return reply.header('content-type', CONTENT_TYPE).send(writeMetrics(workers));
    },
  );
}

function isDirect(request: IncomingMessage): boolean {
  return isFromLoopback(request) && OF_PROXIES.every((name) => request.headers[name] === undefined);
}

/** By their hashes, which are of one length, and in a time that tells nothing. */
function createTokenCheck(token: string): (request: IncomingMessage) => boolean {
  const expected = hash('sha256', token, 'buffer');
  return ({ headers }) => {
    const given = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
    return given !== undefined && timingSafeEqual(hash('sha256', given, 'buffer'), expected);
  };
}
