import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createTestDatabase } from '../testing/database.ts';
import { INSERTED_POSITION_SQL, parsePosition } from './position.ts';
import { describeChanges, type Recorder, record, untilPassed } from './recorder.ts';

const database = await createTestDatabase();

describe('changes, as PostgreSQL sends them', () => {
  let recorder: Recorder;

  before(async () => {
    await database.pool.query(`
      create table plain (id int primary key, v text, n numeric);
      create table whole (id int primary key, v text, big text);
      alter table whole replica identity full;
      alter table whole alter big set storage external;
      create table toast (id int primary key, v text, big text);
      alter table toast alter big set storage external;
      create table by_index (id int, code text not null, v text);
      create unique index by_index_code on by_index (code);
      alter table by_index replica identity using index by_index_code;
      create table keyless (v text);
      create table nothing (id int primary key, v text);
      alter table nothing replica identity nothing;
      create table parent (id int primary key);
      create table child (id int primary key, parent_id int references parent);
      create table part (id int, day date, primary key (id, day)) partition by range (day);
      create table part_1 partition of part for values from ('2026-01-01') to ('2026-02-01');
      create table part_2 partition of part for values from ('2026-02-01') to ('2026-03-01');
      create table generated (id int primary key, v int, twice int generated always as (v * 2) stored);
      alter table generated replica identity full;
      create table kinds (
        id int primary key, b bool, f8 float8, by bytea, ts timestamptz, d date, iv interval, j jsonb, a int[], u uuid, m money
      );
    `);
    recorder = record({ connection: database.url, rowsPerTableMax: 50 });
    await recorder.feed.start();
  });

  after(async () => {
    await recorder.feed.close();
    await database[Symbol.asyncDispose]();
  });

  const changesOf = async (...statements: string[]): Promise<string[]> => {
    const commits = await recorder.during(database.pool, async (pool) => {
      for (const statement of statements) await pool.query(statement);
    });
    return describeChanges(commits);
  };

  test('insert, update and delete with the default identity know the key of the old row', async () => {
    assert.deepEqual(
      await changesOf(
        `insert into plain values (1, 'a', 1.50), (2, null, null)`,
        `update plain set v = 'b' where id = 1`,
        `update plain set id = 3 where id = 2`,
        'delete from plain',
      ),
      [
        'insert public.plain 1,a,1.50',
        'insert public.plain 2,null,null',
        'update public.plain 1,?,? > 1,b,1.50',
        'update public.plain 2,?,? > 3,null,null',
        'delete public.plain 1,?,?',
        'delete public.plain 3,?,?',
      ],
    );
  });

  test('the identity full knows the whole old row, unchanged TOAST included', async () => {
    const [inserted] = await changesOf(`insert into whole values (1, 'a', (${INCOMPRESSIBLE}))`);
    const big = inserted?.split(',')[2] ?? '';
    assert.ok(big.length > 2_000);
    assert.deepEqual(await changesOf(`update whole set v = 'b'`, 'delete from whole'), [
      `update public.whole 1,a,${big} > 1,b,${big}`,
      `delete public.whole 1,b,${big}`,
    ]);
  });

  test('unchanged TOAST under the default identity is "not known", never null', async () => {
    await changesOf(`insert into toast values (1, 'a', (${INCOMPRESSIBLE}))`);
    assert.deepEqual(await changesOf(`update toast set v = 'b'`), ['update public.toast 1,?,? > 1,b,?']);
  });

  test('an identity by index knows the columns of that index', async () => {
    assert.deepEqual(
      await changesOf(
        `insert into by_index values (1, 'x', 'a')`,
        `update by_index set v = 'b'`,
        `update by_index set code = 'y'`,
        'delete from by_index',
      ),
      [
        'insert public.by_index 1,x,a',
        'update public.by_index ?,x,? > 1,x,b',
        'update public.by_index ?,x,? > 1,y,b',
        'delete public.by_index ?,y,?',
      ],
    );
  });

  test('tables without a usable identity are left out, can be written to, and are named with the remedy', async () => {
    assert.deepEqual(
      await changesOf(
        `insert into keyless values ('a')`,
        `update keyless set v = 'b'`,
        `insert into nothing values (1, 'a')`,
        `update nothing set v = 'b'`,
      ),
      [],
    );
    assert.deepEqual(recorder.feed.status().leftOut, [
      {
        table: 'public.keyless',
        reason: 'no replica identity',
        remedy: 'alter table "public"."keyless" replica identity full',
      },
      {
        table: 'public.nothing',
        reason: 'no replica identity',
        remedy: 'alter table "public"."nothing" replica identity full',
      },
    ]);
  });

  test('a table with a stored generated column and the identity full can still be updated', async () => {
    const changes = await changesOf(`insert into generated values (1, 2)`, `update generated set v = 3`);
    assert.equal(changes.length, 2);
    assert.match(changes[1] ?? '', /^update public\.generated 1,2.* > 1,3/);
  });

  test('truncate, and what it cascades to', async () => {
    await changesOf('insert into parent values (1)', 'insert into child values (1, 1)');
    assert.deepEqual((await changesOf('truncate parent cascade')).sort(), ['all public.child', 'all public.parent']);
    assert.deepEqual(await changesOf('truncate plain'), ['all public.plain']);
  });

  test('a partition speaks for itself, also when it is truncated', async () => {
    assert.deepEqual(
      await changesOf(
        `insert into part values (1, '2026-01-05'), (2, '2026-02-05')`,
        `update part set day = '2026-02-01' where id = 1`,
        'truncate part_2',
      ),
      [
        'insert public.part_1 1,2026-01-05',
        'insert public.part_2 2,2026-02-05',
        'delete public.part_1 1,2026-01-05',
        'insert public.part_2 1,2026-02-01',
        'all public.part_2',
      ],
    );
    assert.deepEqual((await changesOf('truncate part')).sort(), ['all public.part_1', 'all public.part_2']);
  });

  test('several tables in one transaction keep their order and are one commit', async () => {
    const commits = await recorder.during(database.pool, (pool) =>
      pool.query(
        `insert into plain values (10, 'a', 1); insert into by_index values (1, 'm', 'a'); update plain set v = 'b'; delete from by_index`,
      ),
    );
    assert.equal(commits.length, 1);
    assert.deepEqual(describeChanges(commits), [
      'insert public.plain 10,a,1',
      'insert public.by_index 1,m,a',
      'update public.plain 10,?,? > 10,b,1',
      'delete public.by_index ?,m,?',
    ]);
  });

  test('what was rolled back is not told, and a subtransaction carries the id of the whole', async () => {
    const client = await database.client();
    let xid = '';
    const commits = await recorder.during(database.pool, async () => {
      await client.query(`begin; insert into plain values (20, 'no', 0); rollback`);
      await client.query('begin');
      await client.query('savepoint a');
      await client.query(`insert into plain values (21, 'no', 0)`);
      await client.query('rollback to a');
      await client.query('savepoint b');
      await client.query(`insert into plain values (22, 'yes', 0)`);
      await client.query('release b');
      xid = (await client.query<{ xid: string }>('select pg_current_xact_id()::text as xid')).rows[0]?.xid ?? '';
      await client.query('commit');
    });
    assert.deepEqual(describeChanges(commits), ['insert public.plain 22,yes,0']);
    assert.equal(commits[0]?.xid, BigInt(xid));
  });

  test('more rows than the limit are one change of everything; other tables keep their rows', async () => {
    assert.deepEqual(
      await changesOf(
        `with other as (insert into by_index values (9, 'q', 'z')) insert into plain select i, 'x', i from generate_series(1000, 1050) i`,
      ).then((changes) => changes.sort()),
      ['all public.plain', 'insert public.by_index 9,q,z'],
    );
    const commits = await recorder.during(database.pool, (pool) =>
      pool.query(`update plain set v = 'y' where id between 1000 and 1049`),
    );
    assert.equal(commits[0]?.changes.length, 50);
  });

  test('values come in one format, whatever the defaults of the database are', async () => {
    await database.pool.query(`alter database ${database.name} set datestyle = 'German'`);
    await database.pool.query(`alter database ${database.name} set timezone = 'America/Sao_Paulo'`);
    await database.pool.query(`alter database ${database.name} set bytea_output = 'escape'`);
    await database.pool.query(`alter database ${database.name} set intervalstyle = 'iso_8601'`);
    const other = record({ connection: database.url });
    await other.feed.start();
    await database.pool.query(
      `insert into kinds values (1, true, 0.1::float8 + 0.2::float8, '\\x00ff', '2026-03-01 12:00:00+00', '2026-03-01', '1 day 2 hours',
         '{"a": [1, "é"]}', '{1,null,3}', '7f000001-0000-4000-8000-000000000000', 1)`,
    );
    await untilPassed(other.feed, database.pool);
    await other.feed.close();
    assert.deepEqual(
      describeChanges(other.commits).map((text) => text.replace(/,[^,]*1[.,]00$/, '')),
      [
        'insert public.kinds 1,t,0.30000000000000004,\\x00ff,2026-03-01 12:00:00+00,2026-03-01,1 day 02:00:00,{"a": [1, "é"]},{1,NULL,3},7f000001-0000-4000-8000-000000000000',
      ],
    );
  });

  test('commits of many writers come in order, each once, under the ids of their writers', async () => {
    const written = new Map<string, string>();
    const writers = await Promise.all(Array.from({ length: 6 }, () => database.client()));
    const commits = await recorder.during(database.pool, () =>
      Promise.all(
        writers.map(async (client, writer) => {
          for (let step = 0; step < 50; step++) {
            const { rows } = await client.query<{ xid: string }>(
              `insert into parent values ($1) returning pg_current_xact_id()::text as xid`,
              [10_000 + writer * 1_000 + step],
            );
            written.set(String(10_000 + writer * 1_000 + step), rows[0]?.xid ?? '');
          }
        }),
      ),
    );
    assert.equal(commits.length, 300);
    for (const commit of commits) {
      const change = commit.changes[0];
      assert.ok(change?.kind === 'insert');
      assert.equal(written.get(change.new[0] ?? ''), String(commit.xid));
    }
    for (const [index, commit] of commits.entries()) {
      const next = commits[index + 1];
      if (!next) continue;
      assert.equal(next.sequence, commit.sequence + 1);
      assert.ok(next.position > commit.position);
      assert.ok(commit.receivedAtMs - commit.committedAtMs < 60_000);
    }
  });

  test('waitFor answers at once for the past, promptly for what is not published, and false when the time runs out', async (t) => {
    const { feed } = recorder;
    assert.equal(await feed.waitFor(feed.position, 0), true);
    await database.pool.query(`insert into keyless values ('unpublished')`);
    const startedAt = performance.now();
    await untilPassed(feed, database.pool);
    t.diagnostic(`passed after ${(performance.now() - startedAt).toFixed(1)} ms; heartbeats come every 250 ms`);
    assert.equal(await feed.waitFor(feed.position + 1_000_000_000n, 20), false);
    assert.equal(feed.status().waiters, 0);
  });

  test('a commit that nobody flushed is passed soon, by a heartbeat of its own', async (t) => {
    const client = await database.client();
    await client.query('set synchronous_commit = off');
    await client.query(`insert into plain values (77, 'async', 0)`);
    const { rows } = await client.query<{ p: string }>(`select ${INSERTED_POSITION_SQL} as p`);
    const startedAt = performance.now();
    assert.equal(await recorder.feed.waitFor(parsePosition(rows[0]?.p ?? ''), 5_000), true);
    t.diagnostic(`passed after ${(performance.now() - startedAt).toFixed(1)} ms`);
  });
});

/** Some 5 kB that PostgreSQL cannot compress. */
const INCOMPRESSIBLE = `select string_agg(md5(random()::text), '') from generate_series(1, 160)`;
