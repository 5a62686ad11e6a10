/** A cached application on a small table, for tests that are about everything but the table. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance, FastifyServerOptions } from 'fastify';
import type { FeedOptions } from '../feed/index.ts';
import type { PluginOptions } from '../http/index.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { createTestPlatform, type TestPlatform } from './platform.ts';

const SCHEMA = 'create table itens (id int primary key, nome text not null); insert into itens values (1, $$um$$);';
export const cached = { config: { cache: true } } as const;

export type Setting = AsyncDisposable & {
  database: TestDatabase;
  platform: TestPlatform;
  app: FastifyInstance;
  read: () => Promise<string>;
};

interface SettingOptions {
  readonly fastify?: FastifyServerOptions;
  readonly plugin?: Partial<PluginOptions>;
  readonly feed?: Partial<FeedOptions>;
}

/** One whose answers are kept also where the machine is so busy that the feed is not heard for a second. */
export function createPatientSetting(options: SettingOptions = {}): Promise<Setting> {
  return createSetting({ feed: { leaseMs: 60_000, silenceMs: 60_000 }, ...options });
}

export async function createSetting(options: SettingOptions = {}): Promise<Setting> {
  const database = await createTestDatabase();
  const platform = await createTestPlatform(database, { schema: SCHEMA, ...options });
  return {
    database,
    platform,
    app: platform.app,
    read: async () => (await platform.db.query('select nome from itens where id = 1')).rows[0].nome,
    async [Symbol.asyncDispose]() {
      await platform[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

/** A bound, not a measure: two cores may be shared by twenty. */
const DEADLINE_MS = 60_000;

export async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await isTrue())) {
    assert.ok(Date.now() < deadline, `in time: ${what}`);
    await delay(5);
  }
}

export async function soon<T>(promise: Promise<T>): Promise<T> {
  const late = delay(DEADLINE_MS, undefined, { ref: false }).then(() => assert.fail('no answer'));
  return Promise.race([promise, late]) as Promise<T>;
}

export async function assertNeverHit(platform: TestPlatform, path: string, reason: RegExp): Promise<void> {
  const first = await platform.get(path);
  assert.match(first.cacheStatus, reason, path);
  assert.doesNotMatch((await platform.get(path)).cacheStatus, /; hit;/, path);
}
