/** What the plugin asks of the application that it is registered in. */
import type { FastifyInstance } from 'fastify';
import { HttpError } from './errors.ts';

const ALREADY_SET = 'fastify.errorHandlerAlreadySet';

/** The hooks registered before ours would read the request unseen. Throws {@link HttpError}. */
export function assertFirst(app: FastifyInstance): void {
  const hooks = internal(app, 'fastify.hooks');
  const earlier = ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'onSend'].filter((name) => {
    const registered = hooks?.[name];
    return Array.isArray(registered) && registered.length > 0;
  });
  // They would be neither cached nor, where they have constraints, told apart. `register` loads a plugin later.
  if (app.printRoutes({ commonPrefix: false }).trim() !== '(empty tree)') {
    throw new HttpError(
      'ERR_HTTP_PLUGIN_ORDER',
      'Register the vazao plugin before all routes, and await it: there are routes already.',
    );
  }
  if (earlier.length > 0) {
    throw new HttpError(
      'ERR_HTTP_PLUGIN_ORDER',
      `Register the vazao plugin before all others: there are ${earlier.join(' and ')} hooks already, and what they read of a request could not become part of its key.`,
    );
  }
}

/** What Fastify was made with. Without it (another Fastify) nothing is known. */
export function applicationOptions(app: FastifyInstance): Record<string, unknown> | undefined {
  return internal(app, 'fastify.options');
}

/** Lets the application set its own error handler without Fastify's warning that there is one: ours is what it stands on. */
export function allowErrorHandler(app: FastifyInstance): void {
  const symbol = Object.getOwnPropertySymbols(app).find(({ description }) => description === ALREADY_SET);
  if (symbol) (app as unknown as Record<symbol, boolean>)[symbol] = false;
}

/** What Fastify keeps of its own set-up under a symbol. Without it (another Fastify) the caller's check passes. */
function internal(app: FastifyInstance, name: string): Record<string, unknown> | undefined {
  const symbol = Object.getOwnPropertySymbols(app).find(({ description }) => description === name);
  return symbol && (app as unknown as Record<symbol, Record<string, unknown> | undefined>)[symbol];
}
