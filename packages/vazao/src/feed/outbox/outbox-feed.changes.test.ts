/** The other source is the oracle: what the outbox tells of a transaction is what the log tells of it, text for text. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createTestDatabase } from '../../testing/database.ts';
import { describeChanges, type Recorder, record } from '../recorder.ts';
import { parseRowText } from './row-text.ts';

const database = await createTestDatabase();
const { pool } = database;

/** A session whose texts are as unlike those of the feed as can be. */
const ODD_SESSION = `set DateStyle = 'SQL, DMY'; set TimeZone = 'America/Sao_Paulo'; set IntervalStyle = 'iso_8601';
  set extra_float_digits = -4; set bytea_output = 'escape'; set quote_all_identifiers = on; set search_path = public`;

describe('what the outbox tells is what the log tells', () => {
  let wal: Recorder;
  let outbox: Recorder;

  before(async () => {
    await pool.query(`
      create table plain (id int primary key, v text, n numeric);
      create table parent (id int primary key);
      create table child (id int primary key, parent_id int references parent on delete cascade on update cascade);
      create table part (id int, day date, v text, primary key (id, day)) partition by range (day);
      create table part_1 partition of part for values from ('2026-01-01') to ('2026-02-01');
      create table part_2 (v text, extra int, day date not null, id int not null);
      alter table part_2 drop column extra;
      alter table part attach partition part_2 for values from ('2026-02-01') to ('2026-03-01');
      create table base (id int primary key, v text);
      create table derived (w int) inherits (base);
      alter table derived add primary key (id);
      create table gaps (a int, id int primary key, b text, vazao_line text, line text);
      alter table gaps drop column a;
      create table generated (id int primary key, v int, twice int generated always as (v * 2) stored);
      create table tagged (id int primary key, "odd, ""name""" text);
      create type mood as enum ('sad', 'so so');
      create domain short as varchar(20);
      create table kinds (
        id int primary key, b bool, c char(5), f4 float4, f8 float8, n numeric, by bytea, t time, tz timetz, ts timestamp, tstz timestamptz,
        d date, iv interval, j json, jb jsonb, a int[], ta text[], fa float8[], da date[], u uuid, i inet, ci cidr, mac macaddr, m mood, s short,
        r tstzrange, x text, p point, bits varbit, nm name, o oid, vec tsvector);
    `);
    const { rows } = await pool.query(`select oid::regclass::text as name from pg_class
      where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace`);
    for (const { name } of rows) await pool.query(`alter table ${name} replica identity full`);
    wal = record({ connection: database.url, source: 'wal' });
    outbox = record({ connection: database.url, source: 'outbox', outbox: { pollMs: 20 } });
    await wal.feed.start();
    await outbox.feed.start();
  });

  after(async () => {
    await wal.feed.close();
    await outbox.feed.close();
    await database[Symbol.asyncDispose]();
  });

  /** Runs the statements in a session with odd settings; both must tell the same, and it is returned. */
  const compare = async (...statements: string[]): Promise<string[]> => {
    const client = await database.client();
    await client.query(ODD_SESSION);
    let fromOutbox: string[] = [];
    const fromWal = await wal.during(pool, async () => {
      fromOutbox = describe_(
        await outbox.during(pool, async () => {
          for (const statement of statements) await client.query(statement);
        }),
      );
    });
    assert.deepEqual(fromOutbox, describe_(fromWal));
    return fromOutbox;
  };
  const describe_ = (commits: Recorder['commits']): string[] =>
    commits.flatMap((commit) => describeChanges([commit]).sort());

  test('values of every type, whatever the settings of the writer are', async () => {
    const changes = await compare(
      `insert into kinds values (1, true, 'ab', 0.1, 0.1::float8 + 0.2::float8, 1.50, '\\x00ff5c22', '12:00', '12:00+03', '2026-03-01 12:00',
        '2026-03-01 12:00:00.5+00', '2026-03-04', '1 year 2 days 03:00', '{"a" : "\\u0041é"}', '{"b": [1, "\\"x\\\\", null]}', '{1,null,3}',
        array['a,b', 'c"d', 'e\\f', '', null, '{}'], array[0.1::float8 + 0.2::float8], array['2026-03-04'::date],
        '7f000001-0000-4000-8000-000000000000', '10.0.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', 'so so', 'x',
        '[2026-03-01 00:00+00,2026-04-01 00:00+00)', E'quote " comma , back \\\\ tab \\t newline \\n (paren) é', '(1.1,2.2)', '1011', 'na me', 7, 'a:1 b:2')`,
      `insert into kinds (id, x, c) values (2, '', '')`,
      `insert into kinds (id, x) values (3, ' ')`,
      'insert into kinds (id) values (4)',
      `update kinds set id = id + 10`,
      `delete from kinds`,
    );
    assert.equal(changes.length, 4 + 4 + 4);
    assert.match(changes.find((line) => line.startsWith('insert public.kinds 1,')) ?? '', /0\.30000000000000004/);
  });

  test('statements of all kinds, in one transaction or many', async () => {
    await compare(
      `insert into plain select i, 'v' || i, i / 3.0 from generate_series(1, 50) i`,
      `update plain set v = v || 'x', id = id + 100 where id % 2 = 0`,
      `update plain set v = v where id = 1`,
      `update plain set v = 'none' where false`,
      `insert into plain values (1, 'conflict', 0), (200, 'new', 0) on conflict (id) do update set v = excluded.v`,
      `insert into plain values (1, 'nothing', 0) on conflict do nothing`,
      `with gone as (delete from plain where id < 10 returning id) insert into parent select id from gone`,
      `begin; insert into plain values (300, 'a', 1); update plain set v = 'b' where id = 300; delete from plain where id = 300; commit`,
      `begin; insert into plain values (301, 'no', 1); rollback`,
      `begin; savepoint a; insert into plain values (302, 'no', 1); rollback to a; savepoint b; insert into plain values (303, 'yes', 1); release b; commit`,
      `merge into plain p using (values (303, 'm'), (304, 'n')) s (id, v) on p.id = s.id
         when matched then update set v = s.v when not matched then insert values (s.id, s.v, 0)`,
      'copy (select 1) to stdout',
      `do $$ begin for i in 400..410 loop insert into plain values (i, 'loop', i); end loop;
         begin insert into plain values (400, 'fails', 0); exception when unique_violation then null; end; end $$`,
    );
  });

  test('foreign keys that cascade, and truncates that do', async () => {
    await compare(
      'insert into parent select i from generate_series(1001, 1010) i',
      'insert into child select i, i from generate_series(1001, 1010) i',
      'update parent set id = id + 1000 where id > 1005',
      'delete from parent where id between 1002 and 1004',
      'truncate parent cascade',
      'truncate plain, kinds',
    );
  });

  test('partitions, whichever table the statement names', async () => {
    const changes = await compare(
      `insert into part values (1, '2026-01-05', 'a'), (2, '2026-02-05', 'b'), (3, '2026-02-06', 'c')`,
      `update part set v = 'x'`,
      `update part set day = '2026-02-01' where id = 1`,
      `insert into part_2 (id, day, v) values (9, '2026-02-09', 'z')`,
      `update part_2 set v = 'y' where id = 9`,
      'delete from part where id < 3',
      'truncate part_2',
      'truncate part',
    );
    assert.ok(changes.includes('insert public.part_2 b,2026-02-05,2'));
  });

  test('inheritance, whichever table the statement names', async () => {
    await compare(
      `insert into base values (1, 'a')`,
      `insert into derived values (2, 'b', 3)`,
      `update base set v = 'x'`,
      `update only base set v = 'y'`,
      'delete from base where id = 2',
      'truncate only base',
      'truncate base',
    );
  });

  test('a cast to text that the owner of a table has made does not run, nor change what is told', async () => {
    for (const table of ['plain', 'base']) {
      await pool.query(`
        create function lie_${table}(${table}) returns text language sql as $$ select '(9,lie)' $$;
        create cast (${table} as text) with function lie_${table}(${table})`);
    }
    await compare(`insert into plain values (600, 'true', 1)`, `insert into base values (600, 'true')`);
    await compare('delete from plain where id = 600', 'update base set v = null where id = 600');
    await pool.query('drop function lie_plain(plain) cascade; drop function lie_base(base) cascade');
  });

  test('what a writer puts into our settings hides nothing', async () => {
    const { rows } = await pool.query(`select oid from pg_class where relname in ('part_1', 'base')`);
    const told = `,${rows.map(({ oid }) => oid).join(',,')},`;
    await compare(
      `set vazao.outbox_told = '${told}'`,
      `insert into base values (601, 'a')`,
      `insert into part values (601, '2026-01-05', 'a')`,
      'delete from base where id = 601',
    );
  });

  test('dropped columns, columns with names of ours, generated columns', async () => {
    await compare(
      `insert into gaps values (1, 'b', 'c', 'd')`,
      `update gaps set line = 'e'`,
      `insert into tagged values (1, 'x')`,
      'delete from gaps',
    );
    const commits = await outbox.during(pool, () => pool.query('insert into generated values (1, 2)'));
    assert.equal(describeChanges(commits).length, 1);
  });

  test('a writer whose session has triggers turned off, as restores do', async () => {
    await compare(
      `begin; set local session_replication_role = replica; insert into plain values (500, 'r', 0); insert into part values (50, '2026-01-05', 'r'); commit`,
    );
  });

  test('more than is worth listing is a change of the table', async () => {
    await outbox.during(pool, () => pool.query('truncate plain, part'));
    const changes = async (statement: string): Promise<string[]> =>
      describeChanges(await outbox.during(pool, () => pool.query(statement))).sort();
    assert.deepEqual(
      await changes(`insert into plain select i, 'a', i from generate_series(1, 1000) i`).then((c) => c.length),
      1000,
    );
    assert.deepEqual(await changes(`insert into plain select i, 'a', i from generate_series(1001, 2001) i`), [
      'all public.plain',
    ]);
    assert.deepEqual(await changes(`insert into plain values (3000, repeat('x', 2000000), 0)`), ['all public.plain']);
    assert.deepEqual(
      await changes(`insert into part select i, date '2026-01-05' + 31 * (i % 2), 'p' from generate_series(1, 1500) i`),
      ['all public.part_1', 'all public.part_2'],
    );
    // What was told and undone with a savepoint is told again.
    assert.deepEqual(
      await changes(`begin; insert into part select i, '2026-01-06', 'p' from generate_series(1, 999) i;
        savepoint a; insert into part select i, '2026-01-07', 'p' from generate_series(1, 9) i; rollback to a;
        insert into part select i, '2026-01-08', 'p' from generate_series(1, 9) i; commit`),
      ['all public.part_1'],
    );
  });
});

test('rows as PostgreSQL writes them', () => {
  assert.deepEqual(parseRowText('()'), [null]);
  assert.deepEqual(parseRowText('(,)'), [null, null]);
  assert.deepEqual(parseRowText('(1,"",a b)'), ['1', '', 'a b']);
  assert.deepEqual(parseRowText('("a ""b"" \\\\ ,(",x)'), ['a "b" \\ ,(', 'x']);
  for (const bad of ['', '1', '(1', '("a)', '("a"b)'])
    assert.throws(() => parseRowText(bad), { code: 'ERR_FEED_PROTOCOL' });
});
