/** What is attacked. As an application, `vazao start` serves it. */
import type { FastifyInstance } from 'fastify';
import { type Application, defineApplication } from '../../packages/vazao/src/index.ts';
import { identify } from '../../packages/vazao/src/testing/cached-and-plain.ts';

const application: Application = defineApplication({
  name: 'bad-input',
  migrations: new URL('./migrations/', import.meta.url),
  identify: () => identify,
  register: (app, { db }) => register(app, async (sql, values) => (await db.query(sql, values)).rows, { cache: true }),
});

export default application;

/** @param config - of the routes that are cached */
export function register(
  app: FastifyInstance,
  query: (sql: string, values?: unknown[]) => Promise<unknown[]>,
  config: object,
): void {
  const item = (id: string): Promise<unknown[]> => query('select * from itens where id::text = $1', [id]);
  app.get('/itens/:id', { config }, async (request) => item((request.params as { id: string }).id));
  // What is behind a prefix, as an application that serves pages would have it.
  app.get('/conta', { config }, async (request) => ({
    user: request.user?.id ?? 'nobody',
    itens: await query('select 1'),
  }));
  app.get('/conta/*', { config }, async (request, reply) =>
    reply.code(404).send({ user: request.user?.id ?? 'nobody' }),
  );
  app.get('/anfitriao', { config }, async (request) => ({ host: request.host, itens: await query('select 1') }));
  app.get('/busca', { config }, async (request) => ({ asked: request.query, itens: await query('select 1') }));
  app.get('/reflete', { config }, async (request, reply) => {
    const { v } = request.query as { v?: string };
    reply.header('x-reflete', encodeURI(String(v ?? '')));
    return query('select 1');
  });
  app.get('/cru', { config }, async (request, reply) => {
    reply.header('x-cru', String((request.query as { v?: string }).v ?? ''));
    return query('select 1');
  });
  app.get('/segredo', async () => 'SEGREDO');
  app.post('/eco', async (request) => ({
    eco: request.body,
    own: Object.keys((request.body ?? {}) as object),
    polluted: isPolluted(),
  }));
  app.delete('/itens/:id', async (request) => {
    await query('delete from itens where id::text = $1', [(request.params as { id: string }).id]);
    return 'APAGADO';
  });
  // Where forms are read, and alone there: their parser is not the platform's.
  app.register(async (scope) => {
    const parse = (_request: unknown, body: unknown, done: (error: null, parsed: unknown) => void): void =>
      done(null, Object.fromEntries(new URLSearchParams(String(body))));
    scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, parse);
    scope.post('/itens/:id', async () => 'POSTADO');
  });
}

function isPolluted(): boolean {
  return 'polluted' in {} || 'polluted' in [] || 'polluted' in Object;
}
