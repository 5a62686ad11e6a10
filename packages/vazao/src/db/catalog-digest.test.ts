import assert from 'node:assert/strict';
import { test } from 'node:test';
import type pg from 'pg';
import { Cache } from '../cache/index.ts';
import { createFeed } from '../feed/index.ts';
import { createTestDatabase } from '../testing/database.ts';
import { untilTold } from '../torture/parts/bounded.ts';
import { catalogDigestSql } from './catalog-digest.ts';
import { loadCatalog } from './load-catalog.ts';
import { Pool } from './pool.ts';

const BOUND_MS = 30_000;

const SCHEMA = `
  create table person (id int primary key, name text not null, mail text unique);
  create table note (id int primary key, person int references person, body text) partition by range (id);
  create table note_1 partition of note for values from (0) to (10);
  create table other (id int);
  create domain cents as int;
  create view names as select name from person;
  create function latest() returns int language sql stable as 'select max(id) from person';
  create function same(int, int) returns bool language sql immutable as 'select true';
  create publication feed for table person, note;`;

/** Each changes the catalog as it is read. */
const CHANGES = [
  'create table added (id int)',
  'alter table person add column age int',
  'alter table person drop column age',
  'alter table person alter name drop not null',
  'alter table person alter mail type varchar(20)',
  'alter table person rename to people',
  'alter table people rename column mail to address',
  'drop index other_id; create unique index other_id on other (id)',
  'create or replace view names as select upper(name) as name from people',
  `create or replace function latest() returns int language sql stable as 'select min(id) from people'`,
  'alter function latest() volatile',
  'create operator === (function = same, leftarg = int, rightarg = int)',
  `create type mood as enum ('sad')`,
  'create cast (int as mood) with inout as assignment; create function to_mood(text) returns mood language sql stable as $$ select $1::mood $$; create cast (varchar as mood) with function to_mood(text)',
  'alter domain cents rename to pence',
  'alter table people enable row level security; alter table people force row level security',
  'alter table note detach partition note_1',
  'alter publication feed drop table note',
  'alter publication feed add table other',
  'alter publication feed set table other where (id > 1)',
  'alter publication feed set table other, people',
  `alter publication feed set (publish = 'insert')`,
  'drop table other',
];

/** Who owns what it reads sees no difference, others do. */
const CHANGES_FOR_OTHERS = [
  'create policy own on people for select using (id = 1)',
  'alter policy own on people using (id = 2)',
  'alter view names set (security_barrier = true)',
];

test('the digest changes with whatever of the catalog is read', async () => {
  await using database = await createTestDatabase();
  const client = await database.client();
  const version = await versionOf(client);
  await client.query(SCHEMA);
  await client.query('create index other_id on other (id)');
  const shown = async (): Promise<string> => JSON.stringify(await loadCatalog(client, { publication: 'feed' }));
  let before = { digest: await digest(client), shown: await shown() };
  for (const change of CHANGES) {
    // What PostgreSQL 14 does not know yet.
    if (version < 150_000 && /where \(id|other, people/.test(change)) continue;
    await client.query(change);
    const after = { digest: await digest(client), shown: await shown() };
    assert.notEqual(after.shown, before.shown, `${change}: shows nothing else`);
    assert.notEqual(after.digest, before.digest, change);
    before = after;
  }
  for (const change of CHANGES_FOR_OTHERS) {
    await client.query(change);
    assert.notEqual(await digest(client), before.digest, change);
    before = { ...before, digest: await digest(client) };
  }
});

test('it stays the same where nothing has changed, for every session', async () => {
  await using database = await createTestDatabase();
  const client = await database.client();
  await client.query(SCHEMA);
  const before = await digest(client);
  await client.query(`insert into person values (1, 'Ana')`);
  await client.query('vacuum analyze person');
  const other = await database.client();
  await other.query('begin; create table unseen (id int)');
  assert.equal(await digest(client), before, 'what nobody has committed is not there');
  await other.query('rollback');
  assert.equal(await digest(other), before);
});

test('a role that may do more, or is a member of another, is another catalog', async () => {
  await using database = await createTestDatabase();
  const client = await database.client();
  const name = `digest_${process.pid}`;
  const seen = new Set([await digest(client)]);
  try {
    for (const change of [
      `create role ${name}_a`,
      `create role ${name}_b`,
      `grant ${name}_a to ${name}_b`,
      `alter role ${name}_b bypassrls`,
      `revoke ${name}_a from ${name}_b`,
    ]) {
      await client.query(change);
      const size = seen.size;
      assert.equal(seen.add(await digest(client)).size, size + 1, change);
    }
  } finally {
    await client.query(`drop role if exists ${name}_a, ${name}_b`);
  }
});

test('an epoch costs nothing of what is known of statements, unless the schema has changed meanwhile', async () => {
  await using database = await createTestDatabase();
  await database.pool.query('create table t (id int primary key); create table u (id int primary key)');
  const feed = createFeed({ connection: database.url });
  const told = new Map<string, () => void>();
  const source = {
    on: (event: string, listener: () => void) => void told.set(event, listener),
    status: undefined,
    published: undefined,
  };
  const db = new Pool({
    connectionString: database.url,
    max: 2,
    feed: source as never,
    cache: new Cache<unknown>({ feed }),
  });
  try {
    await feed.start();
    await db.prepare();
    const first = db.analyzer;
    const readAgain = async () => {
      told.get('epoch')?.();
      assert.equal(db.analyzer, undefined, 'nobody knows it until the catalog has been asked');
      await untilTold('the catalog', () => db.analyzer !== undefined, BOUND_MS);
      return db.analyzer;
    };
    const { position = 0n } = db.schema ?? {};
    await database.pool.query('insert into t values (1)');
    assert.equal(await readAgain(), first);
    assert.ok((db.schema?.position ?? 0n) > position, 'the catalog is that of now');
    await database.pool.query('alter table u add column name text');
    const second = await readAgain();
    assert.ok(second !== undefined && second !== first);
    assert.equal(await readAgain(), second);
  } finally {
    await db.end();
    await feed.close();
  }
});

async function versionOf(client: pg.ClientBase): Promise<number> {
  return (await client.query(`select current_setting('server_version_num')::int as version`)).rows[0].version;
}

async function digest(client: pg.ClientBase): Promise<string> {
  return (await client.query(catalogDigestSql(await versionOf(client)))).rows[0].digest;
}
