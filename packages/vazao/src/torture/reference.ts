/**
 * The application without a cache, without Vazão's pool and without its plugin: what its answers have to be equal to. It runs
 * in this process and listens to nobody.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import pg from 'pg';
import { loadPeer } from '../peer/index.ts';
import type { Application, ApplicationContext } from '../runtime/application.ts';

export interface Reference extends AsyncDisposable {
  get(
    url: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<{ readonly status: number; readonly body: string }>;
}

/** A statement that hangs, because its server is gone, must end. */
const QUERY_TIMEOUT_MS = 5_000;

export async function createReference(
  application: Application,
  databaseUrl: string,
  secret: string,
): Promise<Reference> {
  const db = new pg.Pool({
    connectionString: databaseUrl,
    max: 4,
    connectionTimeoutMillis: QUERY_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    application_name: 'torture reference',
  });
  db.on('error', () => {}); // an idle connection was lost: the pool opens another
  const { fastify } = await loadPeer<typeof import('fastify')>('fastify', 'Torture');
  const app = fastify();
  const context: ApplicationContext = { db, environment: 'production', secret };
  await identify(app, application, context);
  await application.register(app, context);
  await app.ready();
  return {
    async get(url, headers) {
      const { statusCode, body } = await app.inject({ method: 'GET', url, headers: { host: '127.0.0.1', ...headers } });
      return { status: statusCode, body };
    },
    async [Symbol.asyncDispose]() {
      await app.close();
      await db.end();
    },
  };
}

/** Gives requests their `user`, as the plugin does. */
async function identify(app: FastifyInstance, application: Application, context: ApplicationContext): Promise<void> {
  const identity = application.identify?.(context);
  if (!identity) return;
  const users = new WeakMap<FastifyRequest, unknown>();
  app.decorateRequest('user', {
    getter(this: FastifyRequest) {
      return users.get(this) as never;
    },
  });
  app.addHook('onRequest', async (request) => {
    const named = identity.headers.map((name) => [name, request.headers[name]] as const);
    const given = Object.fromEntries(named.filter(([, value]) => value !== undefined)) as Record<string, string>;
    const user = await identity.user(given);
    if (user) users.set(request, user);
  });
}
