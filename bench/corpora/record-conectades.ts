/**
 * Records the statements of apps/conectades, and a small seed's data, as files for `npm run soak:readset`:
 *
 *   node bench/corpora/record-conectades.ts
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import Fastify from 'fastify';
import pg from 'pg';
import conectades from '../../apps/conectades/src/app.ts';
import { createAcessos, createIdentify } from '../../apps/conectades/src/identidade.ts';
import { seed } from '../../apps/conectades/src/seed.ts';
import { startTestServer } from '../../packages/vazao/src/testing/server.ts';

type Context = Parameters<typeof conectades.register>[1];

const TABLES = ['organizadoras', 'pessoas', 'usuarios', 'campanhas', 'doacoes'];
const statements = new Set<string>();

const server = await startTestServer();
const pool = new pg.Pool({ connectionString: server.url, max: 4 });
for (const name of readdirSync(conectades.migrations as URL).sort()) {
  const [up = ''] = readFileSync(new URL(name, conectades.migrations as URL), 'utf8').split('-- Down Migration');
  await pool.query(up);
}
const seeding = await pool.connect();
await seeding.query('begin');
await seed(seeding, () => {}, { organizadoras: 3, campanhas: 25, pessoas: 15, doacoes: 120 });
await seeding.query('commit');
seeding.release();

/** The pool with its statements written down; of a checked-out client too. */
function record<T extends { query: unknown }>(inner: T): T {
  return new Proxy(inner, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (name === 'query') {
        return (first: unknown, ...rest: unknown[]) => {
          const text = typeof first === 'string' ? first : (first as { text?: string }).text;
          if (text !== undefined) statements.add(text.replaceAll(/\s+/g, ' ').trim());
          return (value as (...args: unknown[]) => unknown).call(target, first, ...rest);
        };
      }
      if (name === 'connect') return async () => record(await (target as unknown as pg.Pool).connect());
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const context = {
  db: record(pool),
  environment: 'development',
  secret: 'a secret of the recording, long enough for HS256',
} as unknown as Context;
const app = Fastify();
const { user } = createIdentify(context);
const users = new WeakMap<object, object>();
app.decorateRequest('user', {
  getter() {
    return users.get(this) as never;
  },
});
app.addHook('onRequest', async (request) => {
  const identity = await user({ authorization: request.headers.authorization } as never);
  if (identity) users.set(request, identity);
});
await conectades.register(app, context);
const acessos = createAcessos(context);
const admin = await acessos.sign({ id: 1, papel: 'admin', pessoaId: 1, organizadoraId: null });
const ask = async (method: 'GET' | 'POST' | 'PUT', url: string, payload?: object): Promise<void> => {
  const headers = { authorization: `Bearer ${admin}`, 'idempotency-key': `"${url}"` };
  const response = await app.inject({ method, url, headers, ...(payload && { payload }) });
  console.log(response.statusCode, method, url);
};
for (const query of ['', '?pagina=2', '?busca=a', '?status=ativa', '?status=rascunho', '?busca=a&status=ativa'])
  await ask('GET', `/api/campanhas/listar/${query}`);
for (const id of [1, 2, 3, 9999]) await ask('GET', `/api/campanhas/${id}/`);
for (const query of ['', '?busca=a']) await ask('GET', `/api/organizadoras/listar/${query}`);
await ask('GET', '/api/organizadoras/1/');
await ask('GET', '/api/pessoas/listar/');
await ask('GET', '/api/pessoas/1/');
await ask('GET', '/api/pessoas/1/completa/');
await ask('GET', '/api/doacoes/minhas/');
await ask('POST', '/api/doacoes/', { campanha_id: 1, valor: '10.00', anonima: false });
await ask('POST', '/api/campanhas/', {
  organizadora_id: 1,
  titulo: 'Uma nova',
  descricao: '',
  meta: '10.00',
  status: 'ativa',
});
await ask('PUT', '/api/campanhas/1/', { titulo: 'Uma outra', descricao: '', meta: '10.00', status: 'ativa' });
const organizadora = { nome: 'Associação Pão Nosso', descricao: '', cidade: 'Ilhéus', uf: 'BA' };
await ask('POST', '/api/organizadoras/', { ...organizadora, cnpj: '12345678000195' });
await ask('PUT', '/api/organizadoras/1/', organizadora);
const pessoa = { nome: 'Antônia de Souza', email: 'antonia@example.com', cidade: 'Recife', uf: 'PE' };
const acesso = { username: 'antonia', password: 'uma senha longa' };
await ask('POST', '/api/pessoas/', { ...pessoa, cpf: '98765432100', acesso });
await ask('PUT', '/api/pessoas/6/', { ...pessoa, email: 'outra@example.com' });
await ask('POST', '/api/token/', acesso);
await ask('POST', '/api/token/', { ...acesso, password: 'wrong, but asked for' });

writeFileSync(new URL('conectades.sql', import.meta.url), `${[...statements].sort().join(';\n')};\n`);
const inserts: string[] = [];
for (const table of TABLES) {
  const { rows } = await pool.query(
    `select format('insert into ${table} select (%L::${table}).*', t::text) as sql from ${table} t order by id`,
  );
  inserts.push(...rows.map(({ sql }) => `${sql};`));
}
writeFileSync(new URL('conectades-data.sql', import.meta.url), `${inserts.join('\n')}\n`);
console.log(`${statements.size} statements, ${inserts.length} rows`);
await app.close();
await pool.end();
await server.stop();
