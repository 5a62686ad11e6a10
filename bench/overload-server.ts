/**
 * A server for `bench/overload.ts`: reads that cost real queries and are never a hit, some that are, and writes. Arguments:
 * port, connection string, connections of the pool, `on` or `off` (admission), places in flight (0: what follows from the pool).
 */
import fastify from 'fastify';
import pg from 'pg';
import { limitsPlugin, serverOptions } from '../packages/vazao/src/http/index.ts';

const [port = '0', databaseUrl = '', connections = '10', admission = 'on', places = '0'] = process.argv.slice(2);
const max = Number(connections);
const db = new pg.Pool({ connectionString: databaseUrl, max });
db.on('error', () => {});
const app = fastify({ ...serverOptions({ answerTimeoutMs: 60_000 }), forceCloseConnections: true });
const inFlightMax = Number(places) || Math.max(6, Math.ceil(max * 1.5));
await app.register(limitsPlugin, { admission: admission === 'on' && { inFlightMax } });
app.get('/resumo/:id', async (request) => {
  const { id } = request.params as { id: string };
  const { rows } = await db.query(
    `select c.nome, count(*)::int as doacoes, sum(d.valor)::float as total, max(d.criada) as ultima
     from campanhas c join doacoes d on d.campanha = c.id where c.id = $1 group by c.nome`,
    [Number(id)],
  );
  return rows[0] ?? null;
});
app.get('/lista', async () => (await db.query('select id, nome from campanhas order by id limit 20')).rows);
app.post('/doacoes', async (request) => {
  const { campanha } = request.query as { campanha: string };
  await db.query('insert into doacoes (campanha, valor) values ($1, 10)', [Number(campanha)]);
  return { ok: true };
});
app.get('/health', async () => ({ ok: true }));
await app.listen({ host: '127.0.0.1', port: Number(port) });
process.send?.('ready');
process.on('message', (message) => {
  if (message === 'figures') process.send?.({ figures: app.limits?.figures() });
});
process.on('disconnect', () => process.exit());
