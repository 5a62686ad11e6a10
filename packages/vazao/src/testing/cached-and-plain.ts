/**
 * One application twice: with its routes cached, and computing each answer anew. What the second answers is what the first
 * has to answer, whatever was sent before.
 */
import Fastify, { type FastifyInstance } from 'fastify';
import { limitsPlugin, serverOptions } from '../http/index.ts';
import type { Identify, Identity } from '../http/options.ts';
import { createTestDatabase } from './database.ts';
import { createTestPlatform } from './platform.ts';

export interface Twins extends AsyncDisposable {
  /** Origin of the one whose routes are cached. */
  readonly cached: string;
  /** Origin of the other. */
  readonly plain: string;
}

/** Users are who the header `x-user` says: enough to see whether one gets the answer of another. */
export const identify: Identify = { headers: ['x-user'], user: userOf };

function userOf({ 'x-user': id }: Readonly<Record<string, string | undefined>>): Identity | undefined {
  return id === undefined ? undefined : { id };
}

/** @param register - registers the routes; `config` is for each that is to be cached */
export async function createTwins(
  schema: string,
  register: (
    app: FastifyInstance,
    query: (sql: string, values?: unknown[]) => Promise<unknown[]>,
    config: object,
  ) => void,
): Promise<Twins> {
  const bounds = serverOptions({ headerTimeoutMs: 2_000, requestTimeoutMs: 2_000, bodyMaxBytes: 10_000 });
  const database = await createTestDatabase();
  const fastify = { ...bounds, forceCloseConnections: true } as const;
  const platform = await createTestPlatform(database, { schema, plugin: { identify }, fastify });
  await platform.app.register(limitsPlugin);
  register(platform.app, async (sql, values) => (await platform.db.query(sql, values)).rows, { cache: true });
  const cached = await platform.listen();

  const other = Fastify(fastify);
  await other.register(limitsPlugin);
  other.decorateRequest('user', {
    getter() {
      return userOf({ 'x-user': this.headers['x-user']?.toString() });
    },
  });
  register(other, async (sql, values) => (await database.pool.query(sql, values)).rows, {});
  const plain = await other.listen({ host: '127.0.0.1', port: 0 });
  return {
    cached,
    plain,
    async [Symbol.asyncDispose]() {
      await other.close();
      await platform[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}
