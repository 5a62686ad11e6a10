import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createTestDatabase } from '../testing/database.ts';
import { describeChanges, type Recorder, record, until, untilPassed } from './recorder.ts';
import { listReplicaIdentities, setReplicaIdentityFull } from './replica-identity.ts';

const database = await createTestDatabase();
const { pool } = database;
const restrictedDatabase = await createTestDatabase();

/** Runs statements, and waits until the feed has noticed and the publication is in step. */
async function change(recorder: Recorder, ...statements: string[]): Promise<string[]> {
  const before = recorder.log.length;
  for (const statement of statements) await pool.query(statement);
  await untilPassed(recorder.feed, pool);
  await until(
    () => recorder.log.slice(before).includes('schema') && recorder.feed.status().schemaInStep,
    'schema event',
  );
  return recorder.log.slice(before);
}

async function memberNames(): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select prrelid::regclass::text as name from pg_publication_rel pr join pg_publication p on p.oid = prpubid where pubname = 'vazao' order by 1`,
  );
  return rows.map((row) => row.name);
}

describe('schema changes', () => {
  let recorder: Recorder;

  before(async () => {
    await pool.query('create table t (id int primary key, v text)');
    recorder = record({ connection: database.url });
    await recorder.feed.start();
  });

  after(async () => {
    await recorder.feed.close();
    await database[Symbol.asyncDispose]();
  });

  test('a schema change is a commit that says so, and `schema` follows when the publication is in step', async () => {
    const log = await change(recorder, 'alter table t add column w int');
    assert.equal(recorder.commits.at(-1)?.schemaChanged, true);
    assert.deepEqual(
      log.map((line) => line.split(' ')[0]),
      ['commit', 'schema'],
    );
    assert.equal(recorder.feed.status().schemaWatch, 'event triggers');
  });

  test('the first change after an altered table is a change of everything', async () => {
    await recorder.during(pool, () => pool.query(`insert into t values (1, 'a', 1)`));
    await change(recorder, 'alter table t rename column w to x');
    const commits = await recorder.during(pool, () => pool.query(`update t set v = 'b'`));
    assert.deepEqual(describeChanges(commits), ['all public.t']);
    assert.deepEqual(commits[0]?.changes[0]?.relation.columns, ['id', 'v', 'x']);
  });

  test('rows and schema changes in one transaction', async () => {
    const commits = await recorder.during(pool, () =>
      pool.query(
        `begin; insert into t values (2, 'a', 1); alter table t add column y int; insert into t values (3, 'a', 1, 2); commit`,
      ),
    );
    assert.deepEqual(
      [commits.length, commits[0]?.schemaChanged, describeChanges(commits)],
      [1, true, ['all public.t']],
    );
    await until(() => recorder.feed.status().schemaInStep, 'in step');
  });

  test('a new table is picked up; a table that is dropped leaves', async () => {
    await change(recorder, 'create table fresh (id int primary key)');
    const { rows } = await pool.query<{ oid: number }>(`select 'fresh'::regclass::oid as oid`);
    const oid = rows[0]?.oid ?? 0;
    assert.ok(recorder.feed.published.has(oid));
    assert.deepEqual(describeChanges(await recorder.during(pool, () => pool.query('insert into fresh values (1)'))), [
      'insert public.fresh 1',
    ]);
    await change(recorder, 'drop table fresh');
    assert.ok(!recorder.feed.published.has(oid));
  });

  test('temporary tables, comments and privileges are no schema change', async () => {
    const client = await database.client();
    const commits = await recorder.during(pool, async () => {
      await client.query('create temp table scratch (id int primary key)');
      await client.query('alter table scratch add column v text; create index on scratch (v)');
      await client.query('insert into scratch values (1)');
      await client.query('drop table scratch');
      await client.query(`comment on table t is 'x'; grant select on t to public`);
    });
    assert.deepEqual(commits, []);
  });

  test('a table that loses its identity leaves the publication, so that it can be written to', async () => {
    await change(recorder, 'create table loses (id int primary key)', 'insert into loses values (1)');
    assert.ok((await memberNames()).includes('loses'));
    await change(recorder, 'alter table loses drop constraint loses_pkey');
    await pool.query('update loses set id = 2');
    assert.ok(!(await memberNames()).includes('loses'));
    await change(recorder, 'alter table loses replica identity full');
    assert.ok((await memberNames()).includes('loses'));
  });

  test('transactions that were open when a table came in are suspects until a snapshot has seen them', async () => {
    const writer = await database.client();
    await writer.query('begin');
    const { rows } = await writer.query<{ xid: string }>('select pg_current_xact_id()::text as xid');
    const xid = BigInt(rows[0]?.xid ?? 0);
    await change(recorder, 'create table late (id int primary key)');
    const held = recorder.feed.suspects;
    assert.ok(held.has(xid));
    await writer.query('insert into t values (50)');
    await writer.query('commit');
    await until(() => !recorder.feed.suspects.has(xid), 'cleared');
    assert.ok(held.has(xid), 'a set that was read stays as it was');
  });

  test('a table taken out of the publication by hand is put back, and the hole is an epoch', async () => {
    const { epoch } = recorder.feed;
    const log = await change(recorder, 'alter publication vazao drop table t');
    assert.ok((await memberNames()).includes('t'));
    assert.equal(recorder.feed.epoch, epoch + 1);
    assert.ok(log.includes(`epoch ${epoch + 1} publication changed`));
    await until(() => recorder.feed.isFresh(), 'fresh again');
  });

  test('while the publication may be losing changes the feed is not fresh', async () => {
    await until(() => recorder.feed.isFresh(), 'fresh');
    let freshAtCommit: boolean | undefined;
    const off = recorder.feed.on('commit', (commit) => {
      if (commit.schemaChanged) freshAtCommit = recorder.feed.isFresh();
    });
    await change(recorder, `alter publication vazao set (publish = 'insert')`);
    off();
    assert.equal(freshAtCommit, false);
    const { rows } = await pool.query(
      `select pubupdate, pubdelete, pubtruncate from pg_publication where pubname = 'vazao'`,
    );
    assert.deepEqual(rows, [{ pubupdate: true, pubdelete: true, pubtruncate: true }]);
    await until(() => recorder.feed.isFresh(), 'fresh again');
  });

  test('row filters, column lists and whole schemas are taken off', async () => {
    await change(recorder, 'alter publication vazao set table t (id) where (id > 100)');
    await change(recorder, 'alter publication vazao add tables in schema public');
    const { rows } = await pool.query(
      `select rowfilter from pg_publication_tables where pubname = 'vazao' and tablename = 't'`,
    );
    assert.deepEqual(rows, [{ rowfilter: null }]);
    const { rows: schemas } = await pool.query('select from pg_publication_namespace');
    assert.equal(schemas.length, 0);
  });

  test('a partitioned table is named when its primary key binds all partitions, else its partitions are', async () => {
    await change(
      recorder,
      `create table bound (id int, d int, primary key (id, d)) partition by list (d);
       create table bound_1 partition of bound for values in (1);
       create table loose (id int, d int) partition by list (d);
       create table loose_1 partition of loose (id primary key) for values in (1)`,
    );
    const names = await memberNames();
    assert.deepEqual(
      names.filter((name) => /bound|loose/.test(name)),
      ['bound', 'loose_1'],
    );
    await change(recorder, 'create table loose_2 partition of loose for values in (2)');
    await pool.query('insert into loose values (1, 2)');
    await pool.query('update loose set id = 3');
    const oidOf = async (name: string): Promise<number> =>
      (await pool.query<{ oid: number }>('select $1::regclass::oid as oid', [name])).rows[0]?.oid ?? 0;
    assert.ok(recorder.feed.published.has(await oidOf('bound')));
    assert.ok(recorder.feed.published.has(await oidOf('loose_1')));
    assert.ok(!recorder.feed.published.has(await oidOf('loose')), 'one of its partitions is left out');
    await pool.query('create table bound_2 partition of bound for values in (2)');
    assert.deepEqual(
      describeChanges(await recorder.during(pool, () => pool.query('insert into bound values (1, 2)'))),
      ['insert public.bound_2 1,2'],
    );
  });

  test('two feeds share a publication without ever calling each other', async () => {
    await using other = record({ connection: database.url });
    await other.feed.start();
    const before = other.log.length;
    await change(recorder, 'create table shared (id int primary key)');
    await until(() => other.log.length > before && other.feed.status().schemaInStep, 'the other is in step');
    await recorder.during(pool, () => pool.query('insert into shared values (1)'));
    await untilPassed(other.feed, pool);
    assert.deepEqual(describeChanges(other.commits.slice(-1)), ['insert public.shared 1']);
    assert.ok(other.log.filter((line) => line === 'schema').length <= 2);
    assert.equal(other.feed.epoch, 1);
  });

  test('many feeds that start at one moment agree', async () => {
    await pool.query('drop publication vazao');
    const feeds = Array.from({ length: 4 }, () => record({ connection: database.url }));
    await Promise.all(feeds.map(({ feed }) => feed.start()));
    assert.ok((await memberNames()).includes('t'));
    await Promise.all(feeds.map(({ feed }) => feed.close()));
    await until(() => recorder.feed.isFresh(), 'the feed whose publication was dropped has recovered');
  });

  test('identities can be listed and set to full', async () => {
    const client = await database.client();
    await setReplicaIdentityFull(client, ['t', 'public.loose']);
    const identities = new Map((await listReplicaIdentities(client)).map((row) => [row.table, row]));
    assert.deepEqual(identities.get('public.t'), {
      table: 'public.t',
      identity: 'full',
      usable: true,
      carriesOldRow: true,
    });
    assert.equal(identities.get('public.loose_2')?.identity, 'full');
    assert.equal(identities.get('public.bound_1')?.carriesOldRow, false);
  });
});

describe('without the right to create event triggers', () => {
  const role = `app_${database.name}`;

  after(async () => {
    await restrictedDatabase.pool.query(`drop owned by ${role} cascade; drop role ${role}`);
    await restrictedDatabase[Symbol.asyncDispose]();
  });

  test('the schema is watched by its fingerprint, and a change is an epoch', async () => {
    const { pool: admin, name } = restrictedDatabase;
    await admin.query(`create role ${role} login replication password 'x'`);
    await admin.query(`grant create on database ${name} to ${role}; grant create on schema public to ${role}`);
    await admin.query('create table foreign_owned (id int primary key)');
    await admin.query(`create table own (id int primary key); alter table own owner to ${role}`);
    const url = new URL(restrictedDatabase.url);
    url.username = role;
    url.password = 'x';
    await using recorder = record({ connection: url.href, heartbeatMs: 50 });
    await recorder.feed.start();
    const status = recorder.feed.status();
    assert.equal(status.schemaWatch, 'fingerprint');
    assert.deepEqual(status.tables, ['public.own']);
    assert.deepEqual(
      status.leftOut.map(({ table, reason }) => [table, reason]),
      [['public.foreign_owned', 'not owned']],
    );

    await admin.query('alter table own add column v text');
    await until(() => recorder.log.includes('epoch 2 schema changed'), 'epoch');
    await until(() => recorder.log.includes('schema'), 'schema');
    await admin.query(`set role ${role}; create table own_2 (id int primary key); reset role`);
    await until(() => recorder.feed.status().tables.includes('public.own_2'), 'new table');
    const { epoch } = recorder.feed;
    await admin.query('alter publication vazao drop table own');
    await until(() => recorder.feed.epoch === epoch + 1 && recorder.feed.status().schemaInStep, 'hole');
    assert.ok(recorder.log.includes(`epoch ${epoch + 1} publication changed`));
    assert.deepEqual(recorder.problems, []);
  });

  test('what the role may not do is said with the statement that mends it', async () => {
    const { pool: admin } = restrictedDatabase;
    await admin.query(`alter role ${role} noreplication`);
    const url = new URL(restrictedDatabase.url);
    url.username = role;
    url.password = 'x';
    await using recorder = record({ connection: url.href });
    await assert.rejects(recorder.feed.start(), { code: 'ERR_FEED_PRIVILEGE', message: /alter role \S+ replication/ });
    await admin.query(`alter role ${role} replication`);
    await admin.query('alter publication vazao owner to current_user');
    await admin.query(`alter publication vazao set (publish = 'insert')`);
    await using second = record({ connection: url.href });
    await assert.rejects(second.feed.start(), {
      code: 'ERR_FEED_PUBLICATION',
      message: /alter publication "vazao" set/,
    });
    await admin.query('drop publication vazao; create publication vazao for all tables');
    await using third = record({ connection: url.href });
    await assert.rejects(third.feed.start(), { code: 'ERR_FEED_PUBLICATION', message: /drop publication "vazao"/ });
  });
});
