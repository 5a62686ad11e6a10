/**
 * The window of `cache/recent-commits.ts`, held open on purpose: a synchronous standby that never answers keeps a commit
 * among the running transactions while the feed has already told of it. A cache that goes by the arrival of changes
 * ("drop the entry when the change arrives; keep a value if no change arrived while it was computed") then keeps a value
 * that nothing will ever drop. It is run beside ours, on the same feed and the same database.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Client, type Pool } from 'pg';
import type { Commit, Feed } from '../packages/vazao/src/feed/index.ts';
import { createTestDatabase } from '../packages/vazao/src/testing/database.ts';
import { createTestPlatform } from '../packages/vazao/src/testing/platform.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';

/** Goes by arrival alone. */
class NaiveCache {
  readonly #values = new Map<string, unknown>();
  readonly #filling = new Map<string, { outdated: boolean }>();

  constructor(feed: Feed) {
    feed.on('commit', () => {
      this.#values.clear();
      for (const fill of this.#filling.values()) fill.outdated = true;
    });
  }

  async read<T>(key: string, compute: () => Promise<T>): Promise<T> {
    if (this.#values.has(key)) return this.#values.get(key) as T;
    const fill = { outdated: false };
    this.#filling.set(key, fill);
    const value = await compute();
    this.#filling.delete(key);
    if (!fill.outdated) this.#values.set(key, value);
    return value;
  }
}

test('a commit that is told of before it is visible leaves no stale entry', { timeout: 480_000 }, async () => {
  // Only sessions that ask for it wait for the standby, which does not exist.
  const server = await startTestServer({ synchronous_commit: 'local' });
  try {
    await using database = await createTestDatabase({ serverUrl: server.url });
    await using platform = await createTestPlatform(database, {
      schema: `create table precos (id int primary key, valor int not null); insert into precos values (1, 10), (2, 20);`,
    });
    const { app, db, feed } = platform;
    app.get<{ Params: { id: string } }>(
      '/precos/:id',
      { config: { cache: true } },
      async ({ params }) => (await db.query('select valor from precos where id = $1', [params.id])).rows[0],
    );
    await platform.listen();
    const naive = new NaiveCache(feed);
    const readNaively = (): Promise<number> =>
      naive.read('1', async () => (await database.pool.query('select valor from precos where id = 1')).rows[0].valor);
    const readOurs = async (): Promise<{ valor: number; status: string }> => {
      const { text, cacheStatus } = await platform.get('/precos/1');
      return { valor: JSON.parse(text).valor, status: cacheStatus };
    };
    assert.equal(await readNaively(), 10);
    assert.equal((await readOurs()).valor, 10);
    assert.match((await readOurs()).status, /; hit;/);

    await setStandbys(database.pool, 'ghost');
    const writer = await database.client();
    await writer.query('set synchronous_commit = on');
    const told = nextCommit(feed);
    const committed = writer.query('update precos set valor = 11 where id = 1');
    const { xid } = await told;
    assert.ok(await isRunning(database.pool, xid), 'the feed has told of a commit that no snapshot sees yet');

    // Both compute again, both read the old row, and the change has gone by already.
    assert.equal(await readNaively(), 10);
    const during = await readOurs();
    assert.equal(during.valor, 10);
    assert.equal(during.status, 'vazao; fwd=uri-miss; detail="not stored: changed"');

    await setStandbys(database.pool, '');
    await committed;
    assert.equal(await readNaively(), 10, 'the naive cache keeps the old value for ever');
    assert.equal((await readOurs()).valor, 11);
    assert.equal((await readOurs()).valor, 11);
    await writer.end();
  } finally {
    await server.stop();
  }
});

/** Resolves when the setting holds: it is read anew by each session in its own time. */
async function setStandbys(pool: Pool, names: string): Promise<void> {
  await pool.query(`alter system set synchronous_standby_names = '${names}'`);
  await pool.query('select pg_reload_conf()');
  const deadline = Date.now() + 60_000;
  for (let value: string | undefined; value !== names; ) {
    assert.ok(Date.now() < deadline, 'the setting holds');
    // A new session has what the postmaster has.
    const client = new Client(pool.options.connectionString as string);
    await client.connect();
    value = (await client.query('show synchronous_standby_names')).rows[0].synchronous_standby_names;
    await client.end();
  }
}

async function nextCommit(feed: Feed): Promise<Commit> {
  const waiting = new EventTarget();
  let told: Commit | undefined;
  const off = feed.on('commit', (commit) => {
    told = commit;
    waiting.dispatchEvent(new Event('commit'));
  });
  await once(waiting, 'commit');
  off();
  return told as Commit;
}

async function isRunning(pool: Pool, xid: bigint): Promise<boolean> {
  const { rows } = await pool.query('select pg_visible_in_snapshot($1::text::xid8, pg_current_snapshot()) as visible', [
    String(xid),
  ]);
  return !rows[0].visible;
}
