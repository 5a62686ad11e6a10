/**
 * https://docs.platformatic.dev/docs/guides/cache-with-platformatic-watt: a gateway before the application, `Cache-Control` and
 * tags on answers, and `invalidateHttpCache` by whoever writes.
 */
import Fastify, { type FastifyInstance } from 'fastify';
import { createPool, readItem, writeItem } from '../../data.ts';

declare const platformatic: { invalidateHttpCache(options: { tags: string[] }): Promise<void> };

const TTL_S = 10;
const deletes = process.env.WATT_TAGS === '1';

export function create(): FastifyInstance {
  const db = createPool(process.env.DATABASE_URL as string);
  const app = Fastify();
  app.get<{ Params: { id: string } }>('/items/:id', async ({ params }, reply) => {
    reply.header('cache-control', `public, s-maxage=${TTL_S}`).header('x-cache-tags', `item-${params.id}`);
    return readItem(db, Number(params.id));
  });
  app.put<{ Params: { id: string } }>('/items/:id', async ({ params }) => {
    const written = await writeItem(db, Number(params.id));
    if (deletes) await platformatic.invalidateHttpCache({ tags: [`item-${params.id}`] });
    return written;
  });
  return app;
}
