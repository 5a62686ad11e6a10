/**
 * Our plugin with so many entries in its cache: `node entries.ts PORT ENTRIES`. They are put in ready-made, since computing a
 * million of them would take half an hour, and nothing ends them; everything that a hit goes through is the real thing.
 */
import Fastify from 'fastify';
import { Cache } from '../../packages/vazao/src/cache/index.ts';
import type { Pool } from '../../packages/vazao/src/db/index.ts';
import { type CacheValue, vazaoPlugin } from '../../packages/vazao/src/http/index.ts';
import { createStoredResponse } from '../../packages/vazao/src/http/stored-response.ts';

const [port, entries] = process.argv.slice(2).map(Number) as [number, number];
const feed = {
  position: 1n,
  epoch: 1,
  suspects: new Set<bigint>(),
  lagMs: 0.2,
  isFresh: () => true,
  waitFor: async () => true,
  on: () => () => {},
};
const cache = new Cache<CacheValue>({ feed, sizeMaxBytes: 2 ** 36 });
const app = Fastify({ logger: false });
await app.register(vazaoPlugin, { cache, feed, db: undefined as unknown as Pool, audit: false });
app.get('/health', async () => ({ heapBytes: process.memoryUsage().heapUsed, ...cache.figures() }));
const headers = { 'content-type': 'application/json; charset=utf-8' };
for (let id = 1; id <= entries; id++) {
  const body = Buffer.from(JSON.stringify({ id, nome: `Campanha ${id}`, descricao: 'Uma descrição. '.repeat(8) }));
  const seen = { position: 1n, token: 'A'.repeat(54) };
  const stored = createStoredResponse({ status: 200, headers, body }, [], [], undefined, seen, true);
  cache.note(`/itens/${id}`, stored, stored.bytes);
}
// What is collected of the filling is not a matter of hits.
globalThis.gc?.();
await app.listen({ host: '127.0.0.1', port });
