/** One candidate in one process: `server.ts KIND PORT DATABASE_URL REDIS_URL`. Each is configured as its own documentation advises. */
import Fastify, { type FastifyInstance } from 'fastify';
import { createPool, readItem, writeItem } from './data.ts';

/** Seconds for which those who invalidate by time keep an answer; the same for all. */
const TTL_S = 10;

const [kind = '', port = '', databaseUrl = '', redisUrl = ''] = process.argv.slice(2);
const db = createPool(databaseUrl);
const compute = (id: number): Promise<object> => readItem(db, id);

interface Answers {
  read(id: number): Promise<object>;
  /** After a write through this application. */
  onWrite(id: number): Promise<unknown> | unknown;
}

const KINDS: Readonly<Record<string, () => Promise<Answers>>> = {
  uncached: async () => ({ read: compute, onWrite() {} }),

  // https://bentocache.dev/docs/quick-setup: one store, an L1 in memory, getOrSet with a ttl.
  'bentocache L1, ttl': () => bento(false, false),
  // https://bentocache.dev/docs/methods#delete: the key is deleted by whoever writes.
  'bentocache L1, delete on write': () => bento(false, true),
  // https://bentocache.dev/docs/multi-tier: L1, L2 in Redis, and a bus in Redis that tells other processes.
  'bentocache L1+Redis, delete on write': () => bento(true, true),

  // https://github.com/mcollina/async-cache-dedupe#readme: ttl and stale in seconds, storage in memory.
  'async-cache-dedupe, ttl': () => dedupe(false),
  // The same page, "Invalidation": references of each entry, invalidated by whoever writes.
  'async-cache-dedupe, references': () => dedupe(true),
};

if (kind.startsWith('nest')) await serveNest(kind === 'nest cache-manager, delete on write');
else await serveFastify(await (KINDS[kind] as () => Promise<Answers>)());

async function serveFastify({ read, onWrite }: Answers): Promise<void> {
  const app: FastifyInstance = Fastify();
  app.get<{ Params: { id: string } }>('/items/:id', ({ params }) => read(Number(params.id)));
  app.put<{ Params: { id: string } }>('/items/:id', async ({ params }) => {
    const id = Number(params.id);
    const written = await writeItem(db, id);
    await onWrite(id);
    return written;
  });
  await app.listen({ host: '127.0.0.1', port: Number(port) });
}

async function bento(withRedis: boolean, deletes: boolean): Promise<Answers> {
  const { BentoCache, bentostore } = await import('bentocache');
  const { memoryDriver } = await import('bentocache/drivers/memory');
  const { redisDriver, redisBusDriver } = await import('bentocache/drivers/redis');
  const store = bentostore().useL1Layer(memoryDriver({ maxSize: '64mb' }));
  if (withRedis) {
    const { hostname: host, port: redisPort } = new URL(redisUrl);
    const connection = { host, port: Number(redisPort) };
    store.useL2Layer(redisDriver({ connection })).useBus(redisBusDriver({ connection }));
  }
  const cache = new BentoCache({ default: 'items', stores: { items: store } });
  return {
    read: (id) => cache.getOrSet({ key: `item:${id}`, ttl: `${TTL_S}s`, factory: () => compute(id) }),
    onWrite: (id) => (deletes ? cache.delete({ key: `item:${id}` }) : undefined),
  };
}

async function dedupe(withReferences: boolean): Promise<Answers> {
  const { createCache } = await import('async-cache-dedupe');
  const storage = { type: 'memory' as const, ...(withReferences && { options: { invalidation: true } }) };
  const cache = createCache({ ttl: TTL_S, storage }).define(
    'item',
    withReferences ? { references: (id: number) => [`item:${id}`] } : {},
    (id: number) => compute(id),
  );
  return {
    read: (id) => cache.item(id) as Promise<object>,
    onWrite: (id) => (withReferences ? cache.invalidate('item', [`item:${id}`]) : undefined),
  };
}

/**
 * https://docs.nestjs.com/techniques/caching: CacheModule and the CacheInterceptor, which keeps answers of GET by URL. Decorators are
 * applied by hand, because Node strips types and knows no decorators.
 */
async function serveNest(deletes: boolean): Promise<void> {
  await import('reflect-metadata');
  const { Controller, Get, Module, Param, Put, UseInterceptors } = await import('@nestjs/common');
  const { NestFactory } = await import('@nestjs/core');
  const { FastifyAdapter } = await import('@nestjs/platform-fastify');
  const { CACHE_MANAGER, CacheInterceptor, CacheModule } = await import('@nestjs/cache-manager');
  let clear: (key: string) => Promise<unknown> = async () => {};
  class Items {
    read(id: string): Promise<object> {
      return compute(Number(id));
    }
    async write(id: string): Promise<object> {
      const written = await writeItem(db, Number(id));
      if (deletes) await clear(`/items/${id}`);
      return written;
    }
  }
  const decorate = (name: 'read' | 'write', decorator: MethodDecorator): void => {
    const descriptor = Object.getOwnPropertyDescriptor(Items.prototype, name) as PropertyDescriptor;
    decorator(Items.prototype, name, descriptor);
    Param('id')(Items.prototype, name, 0);
  };
  decorate('read', Get(':id') as MethodDecorator);
  decorate('write', Put(':id') as MethodDecorator);
  Controller('items')(Items);
  UseInterceptors(CacheInterceptor)(Items);
  class Root {}
  Module({ imports: [CacheModule.register({ ttl: TTL_S * 1_000 })], controllers: [Items] })(Root);
  const app = await NestFactory.create(Root, new FastifyAdapter(), { logger: false });
  const cache = app.get<{ del(key: string): Promise<unknown> }>(CACHE_MANAGER);
  clear = (key) => cache.del(key);
  await app.listen(Number(port), '127.0.0.1');
}
