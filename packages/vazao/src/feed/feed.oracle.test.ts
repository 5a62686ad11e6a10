/**
 * The database is the oracle: a copy of two tables that is made of nothing but commits must equal the tables, after any
 * mix of statements, rollbacks, savepoints and lost streams. The copy begins with a read in the midst of the writing, as a
 * cache's fill does, and goes on with the commits that this snapshot did not see.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type pg from 'pg';
import type { Values } from '../readset/change.ts';
import { createTestDatabase } from '../testing/database.ts';
import type { Commit } from './events.ts';
import type { Feed } from './feed.ts';
import { readSnapshot } from './read-snapshot.ts';
import { record, until, untilPassed } from './recorder.ts';
import { type Snapshot, sees } from './snapshot.ts';

const SEED = Number(process.env.VAZAO_SEED ?? Math.floor(Math.random() * 2 ** 31));
const WRITERS = 4;
/** Commits after the copy was begun, and as many before. */
const COMMITS = 300;
const SOURCES = ['wal', 'outbox'] as const;
const TABLES = ['one', 'two'] as const;
type Table = (typeof TABLES)[number];

const database = await createTestDatabase();
const { pool } = database;

/** Mulberry32. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function statement(random: (below: number) => number): string {
  const table = TABLES[random(2)];
  const id = random(40);
  switch (random(12)) {
    case 0:
      return `delete from ${table} where id between ${id} and ${id + 3}`;
    case 1:
      return `update ${table} set v = v || 'x' where id % 7 = ${random(7)}`;
    case 2:
      return `update ${table} set id = id + 1000 where id = ${id}`;
    case 3:
      return `update ${table} set big = (select string_agg(md5(random()::text), '') from generate_series(1, 80)) where id = ${id}`;
    case 4:
      return `savepoint s; update ${table} set v = 'undone'; rollback to s`;
    case 5:
      return `savepoint s; delete from ${table} where id = ${id}; release s`;
    default:
      return `insert into ${table} values (${id}, '${random(1000)}') on conflict (id) do update set v = excluded.v`;
  }
}

async function write(client: pg.Client, random: (below: number) => number, ended: () => boolean): Promise<void> {
  await client.query(`set deadlock_timeout = '10ms'`);
  while (!ended()) {
    const statements = Array.from({ length: 1 + random(4) }, () => statement(random));
    await client
      .query(`begin; ${statements.join('; ')}; ${random(5) === 0 ? 'rollback' : 'commit'}`)
      .catch(async (error) => {
        // Two writers may deadlock, or collide in a key that was moved; both are a rollback.
        await client.query('rollback');
        if (!['40P01', '23505'].includes(error.code)) throw error;
      });
  }
}

class Copy {
  readonly table: Table;
  readonly #rows: Map<string, string>;
  readonly #snapshot: Snapshot;

  private constructor(table: Table, rows: Map<string, string>, snapshot: Snapshot) {
    this.table = table;
    this.#rows = rows;
    this.#snapshot = snapshot;
  }

  /** Reads until the snapshot lists no suspect, whose changes would be missing among the commits. */
  static async read(table: Table, feed: Feed, client: pg.PoolClient): Promise<Copy> {
    for (;;) {
      const { suspects } = feed;
      await client.query('begin isolation level repeatable read');
      const snapshot = await readSnapshot(client);
      const rows = await readRows(table, client);
      await client.query('commit');
      if (![...snapshot.running].some((xid) => suspects.has(xid))) return new Copy(table, rows, snapshot);
    }
  }

  apply(commit: Commit): void {
    if (sees(this.#snapshot, commit.xid)) return;
    for (const change of commit.changes) {
      if (change.relation.name !== this.table) continue;
      assert.ok(change.kind !== 'all');
      if (change.kind !== 'insert') {
        const id = String(change.old?.[0]);
        assert.equal(this.#rows.get(id), textOf(change.old), 'the old row is the one that was there');
        this.#rows.delete(id);
      }
      if (change.kind !== 'delete') this.#rows.set(String(change.new[0]), textOf(change.new));
    }
  }

  sorted(): string[] {
    return [...this.#rows.values()].sort();
  }
}

async function readRows(table: Table, client: pg.PoolClient): Promise<Map<string, string>> {
  const { rows } = await client.query<{ id: string; row: string }>(
    `select id::text, concat_ws('|', id, v, big) as row from ${table}`,
  );
  return new Map(rows.map(({ id, row }) => [id, row]));
}

function textOf(values: Values | undefined): string {
  assert.ok(values && !values.includes(undefined), 'with the identity full every value is known');
  return values.filter((value) => value !== null).join('|');
}

describe('the database is the oracle', () => {
  after(() => database[Symbol.asyncDispose]());

  const cases = SOURCES.flatMap((source) => [false, true].map((faults) => ({ source, faults })));
  for (const { source, faults } of cases) {
    test(`${source}: a copy made of commits equals the tables${faults ? ', through lost streams' : ''} (VAZAO_SEED=${SEED})`, async () => {
      const random = createRandom(SEED);
      await pool.query('drop table if exists one, two');
      for (const table of TABLES) {
        await pool.query(`create table ${table} (id int primary key, v text, big text)`);
        await pool.query(
          `alter table ${table} replica identity full; alter table ${table} alter big set storage external`,
        );
      }
      await using recorder = record({
        connection: database.url,
        source,
        outbox: { pollMs: 5 },
        heartbeatMs: 25,
        leaseMs: 1_000,
        reconnectMinMs: 5,
        reconnectMaxMs: 20,
      });
      const { feed, commits } = recorder;
      await feed.start();

      let ended = false;
      const writing = Promise.all(
        Array.from({ length: WRITERS }, async () =>
          write(await database.client(), createRandom(random(2 ** 31)), () => ended),
        ),
      );
      if (faults) {
        for (let round = 0; round < 3; round++) {
          await new Promise((resolve) => setTimeout(resolve, 100));
          const problems = recorder.problems.length;
          await pool.query(
            `select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name in ('vazao feed (stream)', 'vazao feed (outbox)')`,
          );
          await until(() => recorder.problems.length > problems && feed.isFresh(), 'a new stream');
          await until(() => feed.status().state === 'streaming', 'streaming again');
        }
      }
      await until(() => commits.length >= COMMITS, 'commits before the copy');
      const client = await pool.connect();
      const copies: Copy[] = [];
      for (const table of TABLES) copies.push(await Copy.read(table, feed, client));
      const begunAt = commits.length;
      await until(() => commits.length >= begunAt + COMMITS, 'commits after the copy was begun');
      ended = true;
      await writing;
      await untilPassed(feed, pool);
      for (const copy of copies) {
        for (const commit of commits) copy.apply(commit);
        assert.deepEqual(copy.sorted(), [...(await readRows(copy.table, client)).values()].sort());
      }
      client.release();
      // What the outbox holds outlives the connection; what a temporary slot had not sent does not.
      assert.equal(feed.epoch, faults && source === 'wal' ? 4 : 1);
    });
  }
});
