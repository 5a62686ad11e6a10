/** The Fastify plugin: security headers, protection against requests of other sites, sessions, failures without words of the inside. */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import fp from 'fastify-plugin';
import { type CrossOriginOptions, registerCrossOriginProtection } from './cross-origin.ts';
import { logDenials } from './denials.ts';
import { rememberFailures } from './failure.ts';
import { type HeadersOptions, registerHeaders } from './headers.ts';
import { registerPlainErrors } from './plain-errors.ts';
import { registerSessions, type Sessions } from './sessions/index.ts';

export interface SecurityOptions {
  /** `false`: none. */
  readonly headers?: HeadersOptions | false | undefined;
  /** `false`: requests of other sites are not told apart; a token of your own has to. */
  readonly crossOrigin?: CrossOriginOptions | false | undefined;
  /** Sessions by cookie, whose `identify` was given to `vazaoPlugin`. @defaultValue none */
  readonly sessions?: Sessions | undefined;
  /** Answers of failures carry the message of what was thrown: for development. @defaultValue false */
  readonly tellErrors?: boolean | undefined;
}

const plugin: FastifyPluginAsync<SecurityOptions> = async (app: FastifyInstance, options) => {
  const { headers = {}, crossOrigin = {}, sessions, tellErrors = false } = options;
  if (headers !== false) await registerHeaders(app, headers);
  if (crossOrigin !== false) {
    registerCrossOriginProtection(app, { ...(sessions && { check: 'always' }), ...crossOrigin });
  }
  if (sessions) registerSessions(app, sessions);
  else app.decorate('sessions', undefined);
  rememberFailures(app);
  logDenials(app);
  if (!tellErrors) registerPlainErrors(app);
};

/** Register it after `vazaoPlugin`, so that its headers are kept with answers, and before everything else. */
export const securityPlugin: FastifyPluginAsync<SecurityOptions> = fp(plugin, {
  fastify: '5.x',
  name: 'vazao-security',
});
