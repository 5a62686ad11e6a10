import type { FastifyRequest } from 'fastify';

/** What a handler, or the platform itself, asks of its own application. */
export function isInjected({ raw }: Pick<FastifyRequest, 'raw'>): boolean {
  return '_lightMyRequest' in raw;
}
