/**
 * The same routes on Fastify with a cache of npm, in memory, as its documentation says: `node peer.ts PORT NAME`. What would
 * come from the database lies ready, so that only hits are measured. The packages are those of `bench/peers`.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Fastify from 'fastify';

type Read = (key: string, compute: () => Promise<unknown>) => Promise<unknown>;

const [port, name] = process.argv.slice(2);
const fromPeers = createRequire(join(import.meta.dirname, '../peers/package.json'));
const load = async (word: string): Promise<Record<string, unknown>> =>
  import(pathToFileURL(fromPeers.resolve(word)).href);

const text = { type: 'string' } as const;
const item = {
  type: 'object',
  properties: { id: { type: 'integer' }, nome: text, descricao: text, valor: text, usuario: text },
};
const rows = Array.from({ length: 1_000 }, (_, at) => ({
  id: at + 1,
  nome: `Campanha ${at + 1}`,
  descricao: 'Uma descrição que alguém leria. '.repeat(3),
  valor: String((at + 1) * 10.5),
}));

const read = name === 'bentocache' ? await createBento() : await createDedupe();
const app = Fastify({ logger: false });
// With the schemas that Fastify's documentation recommends for fast serialisation.
app.get('/lista', { schema: { response: { 200: { type: 'array', items: item } } } }, () =>
  read('lista', async () => rows.slice(0, 100)),
);
app.get<{ Params: { id: string } }>('/itens/:id', { schema: { response: { 200: item } } }, ({ params }) =>
  read(`item:${params.id}`, async () => rows[Number(params.id) - 1]),
);
app.get('/eu', { schema: { response: { 200: item } } }, ({ headers }) =>
  read(`eu:${headers.authorization}`, async () => ({ usuario: headers.authorization, ...rows[0] })),
);
await app.listen({ host: '127.0.0.1', port: Number(port) });

async function createBento(): Promise<Read> {
  const { BentoCache, bentostore } = await load('bentocache');
  const { memoryDriver } = (await load('bentocache/drivers/memory')) as { memoryDriver: (options: object) => unknown };
  const Bento = BentoCache as new (options: object) => { getOrSet: (options: object) => Promise<unknown> };
  const createStore = bentostore as () => { useL1Layer: (driver: unknown) => unknown };
  const bento = new Bento({
    default: 'memory',
    stores: { memory: createStore().useL1Layer(memoryDriver({ maxSize: '256mb' })) },
  });
  return (key, factory) => bento.getOrSet({ key, factory, ttl: '1h' });
}

async function createDedupe(): Promise<Read> {
  const { createCache } = (await load('async-cache-dedupe')) as { createCache: (options: object) => Dedupe };
  const computes = new Map<string, () => Promise<unknown>>();
  const cache = createCache({ ttl: 3_600, storage: { type: 'memory', options: { size: 10_000 } } }).define(
    'read',
    async (key: string) => computes.get(key)?.(),
  );
  return (key, compute) => {
    if (!computes.has(key)) computes.set(key, compute);
    return cache.read(key);
  };
}

interface Dedupe {
  define(name: string, compute: (key: string) => Promise<unknown>): { read: (key: string) => Promise<unknown> };
}
