import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase } from '../testing/database.ts';
import { loadCatalog } from './load-catalog.ts';

test('the catalog says what can be followed, and what each column is', async () => {
  await using database = await createTestDatabase();
  const client = await database.client();
  await client.query(`
    create schema shop;
    create type shop.mood as enum ('sad', 'glad');
    create domain shop.email as text check (value <> '');
    create domain shop.work_email as shop.email;
    create domain shop.cents as numeric(10, 2); create domain shop.more_cents as shop.cents;
    create type shop.pair as (a int, b int);
    create collation shop.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create domain shop.loose_text as text collate shop.loose;
    create table shop.item (id int primary key, code text unique, mood shop.mood, email shop.work_email, pair shop.pair,
      loose text collate shop.loose, dropped int, tags text[], double int generated always as (id * 2) stored);
    alter table shop.item drop column dropped;
    create unique index on shop.item (lower(code));
    create table shop.sale (id int, day date, primary key (day, id)) partition by range (day);
    create table shop.sale_2024 partition of shop.sale for values from ('2024-01-01') to ('2025-01-01') partition by range (day);
    create table shop.sale_january partition of shop.sale_2024 for values from ('2024-01-01') to ('2024-02-01');
    create table shop.parent (id int); create table shop.child (x int) inherits (shop.parent);
    create table shop.filtered (id int primary key); create table shop.narrow (id int primary key, x int);
    create table shop.outside (id int);
    create table shop.secret (id int); alter table shop.secret enable row level security;
    create unlogged table shop.quick (id int);
    create materialized view shop.summary as select 1 as one;
    create sequence shop.counter;
    create view shop.items as select id, count(*) over () as n from shop.item;
    create function shop.next_day(date) returns date language sql stable as 'select $1 + 1';
    create function shop.step(int, int) returns int language sql volatile as 'select $1';
    create aggregate shop.last_one(int) (sfunc = shop.step, stype = int);
    create function shop.same(int, int) returns bool language sql immutable as 'select true';
    create operator shop.=== (function = shop.same, leftarg = int, rightarg = int);
    create publication feed for table shop.item, shop.sale, shop.parent, shop.secret, shop.filtered where (id > 1), shop.narrow (id);
    set search_path = shop, public;`);
  const catalog = await loadCatalog(client, { publication: 'feed' });

  assert.deepEqual(catalog.searchPath, ['pg_catalog', 'shop', 'public']);
  const { rows } = await client.query('show search_path');
  assert.equal(rows[0].search_path, 'shop, public', 'the session keeps its path');

  const table = (name: string) => catalog.tables.find((table) => table.name === name) ?? assert.fail(`no ${name}`);
  assert.deepEqual(
    Object.fromEntries(
      catalog.tables
        .filter(({ kind }) => kind === 'table')
        .map(({ name, invisible }) => [name, invisible ?? 'visible']),
    ),
    {
      item: 'visible',
      sale: 'visible',
      sale_2024: 'visible',
      sale_january: 'visible',
      parent: 'visible',
      child: 'visible',
      filtered: 'unpublished',
      narrow: 'unpublished',
      outside: 'unpublished',
      secret: 'visible',
      quick: 'unlogged',
      summary: 'materialized-view',
      counter: 'sequence',
    },
  );
  assert.deepEqual(
    table('item').columns.map(({ name, type, deterministic, generated }) => [name, type, deterministic, generated]),
    [
      ['id', 'int4', true, false],
      ['code', 'text', true, false],
      ['mood', 'enum', true, false],
      ['email', 'text', true, false],
      ['pair', 'other', true, false],
      ['loose', 'text', false, false],
      ['tags', '_text', true, false],
      ['double', 'int4', true, true],
    ],
  );
  assert.deepEqual(table('item').uniqueKeys, [['id'], ['code']]);
  assert.deepEqual(table('sale').uniqueKeys, [['id', 'day']]);
  assert.deepEqual(new Set(table('sale_january').ancestors), new Set([table('sale').oid, table('sale_2024').oid]));
  assert.deepEqual(table('child').ancestors, [table('parent').oid]);
  assert.match(table('items').definition ?? '', /FROM shop\.item/);

  const volatility = (schema: string, name: string) =>
    catalog.functions
      .filter((entry) => entry.schema === schema && entry.name === name)
      .map((entry) => entry.volatility);
  assert.deepEqual(volatility('shop', 'next_day'), ['stable']);
  assert.deepEqual(volatility('shop', 'last_one'), ['volatile'], 'an aggregate is as volatile as its parts');
  assert.deepEqual(volatility('pg_catalog', 'lower'), ['immutable']);
  assert.deepEqual(new Set(volatility('pg_catalog', 'age')), new Set(['immutable', 'stable']));
  assert.deepEqual(
    catalog.operators.filter(({ schema }) => schema === 'shop'),
    [
      {
        schema: 'shop',
        name: '===',
        volatility: 'immutable',
        mayTakeOver: true,
        function: { schema: 'shop', name: 'same' },
      },
    ],
  );
  assert.deepEqual(new Map(catalog.types.map(({ name, base }) => [name, base])).get('work_email'), 'text');
  const faithful = catalog.types.filter((type) => type.base !== 'other' && type.isFaithful);
  assert.deepEqual(faithful.map(({ name }) => name).sort(), ['email', 'mood', 'work_email']);
});

test('a column is NOT NULL only if no row of its table, nor of one below, may have NULL there', async () => {
  await using database = await createTestDatabase();
  const client = await database.client();
  const { rows } = await client.query(`select current_setting('server_version_num')::int as version`);
  await client.query(`
    create domain given as int not null;
    create table plain (id int primary key, name text not null, note text, given given);
    create view shown as select * from plain;
    create table parted (id int not null, k int) partition by range (id);
    create table part partition of parted for values from (1) to (9);
    alter table part alter k set not null;
    create table parent (id int, k int not null);
    create table child () inherits (parent);
    alter table only parent add constraint given check (id is not null) no inherit;
    create table lax (id int);
    insert into lax values (null);`);
  // A child as strict as its parent, and one that is not: only the parent's own word counts for less.
  if (rows[0].version >= 180_000) {
    await client.query(`alter table lax add constraint later not null id not valid;
      alter table only parent add constraint own not null id no inherit`);
  } else await client.query('alter table only parent alter id set not null');
  const notNull = async (name: string) =>
    (await loadCatalog(client, { publication: 'none' })).tables
      .find((table) => table.name === name)
      ?.columns.filter((column) => column.notNull)
      .map((column) => column.name);
  assert.deepEqual(await notNull('plain'), ['id', 'name']);
  assert.deepEqual(await notNull('shown'), []);
  assert.deepEqual(await notNull('parted'), ['id']);
  assert.deepEqual(await notNull('part'), ['id', 'k']);
  assert.deepEqual(await notNull('parent'), ['k'], 'id may be NULL in the child');
  assert.deepEqual(await notNull('lax'), []);
  await client.query('alter table plain alter name drop not null');
  assert.deepEqual(await notNull('plain'), ['id']);
});

test('without the publication nothing can be followed; one that leaves out deletes follows nothing', async () => {
  await using database = await createTestDatabase();
  const client = await database.client();
  await client.query(
    `create table t (id int); create publication half for table t with (publish = 'insert, update'); create publication everything for all tables; create publication by_schema for tables in schema public`,
  );
  const invisible = async (publication: string) => (await loadCatalog(client, { publication })).tables[0]?.invisible;
  assert.equal(await invisible('missing'), 'unpublished');
  assert.equal(await invisible('half'), 'unpublished');
  assert.equal(await invisible('everything'), undefined);
  assert.equal(await invisible('by_schema'), undefined);
});

test('types that are made of dates and times', async () => {
  await using database = await createTestDatabase();
  const client = await database.client();
  await client.query(`
    create type plain as (a int, b text); create type dated as (a int, d date); create domain day as date; create domain days as dated;
    create type span as range (subtype = date); create type zones as (a timetz[]); create type deep as (x dated[]);
    create table t (id int, s span)`);
  const { types } = await loadCatalog(client, { publication: 'none' });
  const found = (property: 'holdsTime' | 'holdsZone') =>
    types.flatMap((type) => (type[property] && !/^_|multi/.test(type.name) ? type.name : [])).toSorted();
  assert.deepEqual(found('holdsTime'), ['dated', 'day', 'days', 'deep', 'span', 't', 'zones']);
  assert.deepEqual(found('holdsZone'), ['zones']);
  assert.equal(types.find(({ name }) => name === '_dated')?.holdsTime, true);
});

test('settings under which statements mean something else', async () => {
  await using database = await createTestDatabase();
  const client = await database.client();
  const unusual = async () => (await loadCatalog(client, { publication: 'none' })).unusualSettings;
  assert.deepEqual(await unusual(), []);
  await client.query('set transform_null_equals = on; set array_nulls = off; set standard_conforming_strings = off');
  assert.deepEqual(
    new Set(await unusual()),
    new Set(['transform_null_equals = on', 'array_nulls = off', 'standard_conforming_strings = off']),
  );
});

test('row-level security as it applies to the role that asks', async () => {
  await using database = await createTestDatabase();
  const client = await database.client();
  const role = `reader_${database.name}`;
  await client.query(`
    create role ${role};
    create table t (id int, owner text); create table other (id int); create table plain (id int);
    alter table t enable row level security;
    create policy own on t for select using (owner = current_user);
    create policy listed on t as restrictive using (id in (select other.id from other));
    create policy inserting on t for insert with check (true);
    create policy deleting on t for delete using (id = 9);
    create policy foreign_role on t for select to pg_monitor using (id = 8);
    create view by_owner as select * from t; create view by_invoker with (security_invoker = true) as select * from t;
    grant select on all tables in schema public to ${role};
    create publication feed for all tables`);
  try {
    const find = async (name: string) =>
      (await loadCatalog(client, { publication: 'feed' })).tables.find((table) => table.name === name);
    assert.deepEqual((await find('t'))?.rowSecurity, { isActive: false, policies: [] }, 'not for a superuser');
    assert.equal((await find('by_owner'))?.asOwner, false);
    await client.query(`set role ${role}`);
    const secured = await find('t');
    assert.equal(secured?.invisible, undefined);
    assert.deepEqual(secured?.rowSecurity?.policies.toSorted(), [
      '(id IN ( SELECT other.id\n   FROM public.other))',
      '(owner = CURRENT_USER)',
    ]);
    assert.equal((await find('plain'))?.rowSecurity, undefined);
    assert.equal((await find('by_owner'))?.asOwner, true);
    assert.equal((await find('by_invoker'))?.asOwner, false);
  } finally {
    await client.query(`reset role; drop owned by ${role}; drop role ${role}`);
  }
});

test('bodies and default arguments of functions', async () => {
  await using database = await createTestDatabase();
  const client = await database.client();
  await client.query(`
    create table t (id int);
    create function text_body() returns bigint language sql stable as 'select count(*) from t';
    create function atomic_body() returns bigint language sql stable begin atomic select count(*) from t; end;
    create function returned(x int) returns int language sql stable return x + (select max(id) from t);
    create type pair as (a int, b int);
    create function to_pair(int) returns pair language sql stable as 'select null::pair';
    create function to_int(pair) returns int language sql immutable as 'select 1';
    create cast (int as pair) with function to_pair(int); create cast (pair as int) with function to_int(pair);
    create function definer() returns bigint language sql stable security definer as 'select count(*) from t';
    create function with_path() returns bigint language sql stable set search_path = public as 'select count(*) from t';
    create function writes() returns bigint language sql volatile as 'select count(*) from t';
    create function procedural() returns bigint language plpgsql stable as 'begin return 1; end';
    create function with_default(a int, b timestamptz default now(), c int default 1) returns int language sql immutable as 'select 1'`);
  await client.query(`
    create function immutable_body() returns bigint language sql immutable as 'select count(*) from t';
    create function opaque(int, int) returns int language plpgsql immutable as 'begin return 1; end';
    create aggregate opaque_total(int) (sfunc = opaque, stype = int);
    create aggregate plain_total(int) (sfunc = int4pl, stype = int);
    create type days as range (subtype = date);
    create extension citext`);
  const { functions, unsureCasts } = await loadCatalog(client, { publication: 'none' });
  const find = (name: string) => functions.find((entry) => entry.name === name);
  assert.deepEqual(find('text_body')?.body, { text: 'select count(*) from t', isQualified: false });
  assert.equal(find('atomic_body')?.body?.isQualified, true);
  assert.match(
    find('atomic_body')?.body?.text ?? '',
    /^BEGIN ATOMIC\s+SELECT count\(\*\) AS count\s+FROM public\.t;\s+END$/,
  );
  assert.match(find('returned')?.body?.text ?? '', /^RETURN \(x \+/);
  for (const name of ['definer', 'with_path', 'writes', 'procedural']) assert.equal(find(name)?.body, undefined, name);
  assert.equal(find('with_default')?.defaults, 'now(), 1');
  assert.equal(find('immutable_body')?.body?.text, 'select count(*) from t');
  assert.deepEqual(
    functions.filter(({ isOpaque }) => isOpaque).map(({ name }) => name),
    ['opaque'],
    'neither PostgreSQL’s own nor those of an extension',
  );
  assert.deepEqual(find('opaque_total')?.parts, [{ schema: 'public', name: 'opaque' }]);
  assert.equal(find('plain_total')?.parts, undefined);
  const cast = { schema: 'public', source: 'integer', target: 'public.pair' };
  assert.deepEqual(
    unsureCasts?.toSorted((a, b) => a.function.localeCompare(b.function)),
    [
      { ...cast, source: 'public.pair', target: 'integer', function: 'to_int', volatility: 'immutable' },
      { ...cast, function: 'to_pair', volatility: 'stable' },
    ],
  );
});

test('operators that may take over an expression on types that are understood', async () => {
  await using database = await createTestDatabase();
  const client = await database.client();
  await client.query(`
    create type mood as enum ('sad'); create domain email as text; create type pair as (a int, b int);
    create function moods(mood, text) returns bool language sql immutable as 'select true';
    create function emails(email, email) returns bool language sql immutable as 'select true';
    create function pairs(pair, pair) returns bool language sql immutable as 'select true';
    create operator = (function = moods, leftarg = mood, rightarg = text);
    create operator = (function = emails, leftarg = email, rightarg = email);
    create operator = (function = pairs, leftarg = pair, rightarg = pair)`);
  const { operators } = await loadCatalog(client, { publication: 'none' });
  assert.deepEqual(operators.map((operator) => [operator.function.name, operator.mayTakeOver]).toSorted(), [
    ['emails', true],
    ['moods', true],
    ['pairs', false],
  ]);
});
