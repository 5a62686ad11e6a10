/** What made a request fail, for who looks at its answer. */
import type { FastifyInstance, FastifyReply } from 'fastify';

const FAILURE: unique symbol = Symbol('vazao.failure');

declare module 'fastify' {
  interface FastifyReply {
    [FAILURE]: Error | undefined;
  }
}

export function rememberFailures(app: FastifyInstance): void {
  app.decorateReply(FAILURE, undefined);
  app.addHook('onError', (_request, reply, error, done) => {
    reply[FAILURE] = error;
    done();
  });
}

/** Undefined where nothing was thrown. */
export function failureOf(reply: FastifyReply): Error | undefined {
  return reply[FAILURE];
}
