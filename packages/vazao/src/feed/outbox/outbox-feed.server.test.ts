/** A server as managed ones are: no logical replication, and a role that owns its tables and nothing else. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../runtime/embedded-postgres.ts';
import { createFeed } from '../create-feed.ts';
import { describeChanges, record, until, untilPassed } from '../recorder.ts';

const SETTINGS = { wal_level: 'replica', max_prepared_transactions: '5' };
const QUICK = { outbox: { pollMs: 10 }, reconnectMinMs: 10, reconnectMaxMs: 100 } as const;

describe('on a server without logical replication', { timeout: 480_000 }, () => {
  let folder: string;
  let server: EmbeddedPostgres;
  let admin: pg.Pool;
  let pool: pg.Pool;
  let url: string;

  const openPools = (): void => {
    admin = new pg.Pool({ connectionString: server.url('postgres') });
    const own = new URL(server.url('shop'));
    own.username = 'shop';
    own.password = 'x';
    url = own.href;
    pool = new pg.Pool({ connectionString: url });
    for (const each of [admin, pool]) each.on('error', () => {}); // the server is stopped under it
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vazao-outbox-'));
    server = await startEmbeddedPostgres({ folder, settings: SETTINGS });
    openPools();
    await admin.query(`create role shop login password 'x'; create role clerk login password 'y'`);
    await admin.query('create database shop owner shop');
    await pool.query(`
      create table orders (id int primary key, v text);
      create table days (id int, day date, v text, primary key (id, day)) partition by range (day);
      create table days_1 partition of days for values from ('2026-01-01') to ('2026-02-01');
      create table lone (id int primary key);
      create unlogged table scratch (id int);
      create schema desk;
      grant usage on schema public to clerk; grant insert, update, select on orders to clerk`);
  });

  after(async () => {
    await Promise.all([admin.end(), pool.end()]);
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  test('the outbox is taken by itself, which is said with the reason', async () => {
    await using feed = createFeed({ connection: url, ...QUICK });
    const problems: string[] = [];
    feed.on('problem', ({ message }) => problems.push(message));
    let epochs = 0;
    feed.on('epoch', () => epochs++);
    await feed.start();
    const { source, passedOver, schemaWatch, leftOut, fresh } = feed.status();
    assert.deepEqual([source, schemaWatch, fresh, epochs], ['outbox', 'fingerprint', true, 1]);
    assert.deepEqual(
      passedOver?.map(({ source, code }) => [source, code]),
      [['wal', 'ERR_FEED_WAL_LEVEL']],
    );
    assert.match(problems[0] ?? '', /wal_level is replica/);
    assert.deepEqual(
      leftOut.map(({ table, reason }) => [table, reason]),
      [['public.scratch', 'unlogged']],
    );
    await assert.rejects(createFeed({ connection: url, source: 'wal' }).start(), { code: 'ERR_FEED_WAL_LEVEL' });
    await assert.rejects(feed.start(), { code: 'ERR_FEED_CLOSED' });
  });

  test('a failure that may pass is no reason to take a weaker source', async () => {
    const gone = new URL(url);
    gone.port = '1';
    const feed = createFeed({ connection: gone.href, connectTimeoutMs: 500 });
    await assert.rejects(feed.start(), { code: 'ERR_FEED_CONNECTION' });
    assert.deepEqual(feed.status().passedOver, []);
  });

  test('without the right to create anything, the source is app', async () => {
    await admin.query('create database foreign_one');
    const other = new URL(url);
    other.pathname = '/foreign_one';
    await using feed = createFeed({ connection: other.href });
    await feed.start();
    assert.deepEqual(
      feed.status().passedOver?.map(({ source, code }) => [source, code]),
      [
        ['wal', 'ERR_FEED_WAL_LEVEL'],
        ['outbox', 'ERR_FEED_PRIVILEGE'],
      ],
    );
    assert.equal(feed.status().source, 'app');
    assert.ok((feed.ttlDefaultMs ?? Number.POSITIVE_INFINITY) <= 5_000 && feed.isFresh());
  });

  test('an owner without any privilege follows all writers, who need none either', async () => {
    await using recorder = record({ connection: url, source: 'outbox', ...QUICK });
    await recorder.feed.start();
    const clerk = new URL(url);
    clerk.username = 'clerk';
    clerk.password = 'y';
    const client = new pg.Client(clerk.href);
    await client.connect();
    const commits = await recorder.during(pool, async () => {
      await client.query(`insert into orders values (1, 'clerk')`);
      await client.query('truncate orders').catch((error) => assert.equal(error.code, '42501'));
    });
    assert.deepEqual(describeChanges(commits), ['insert public.orders 1,clerk']);
    await assert.rejects(client.query('delete from vazao.outbox'), { code: '42501' });
    await client.end();
  });

  test('a table that belongs to another is left out, with the statement that mends it', async () => {
    const asAdmin = new pg.Client(server.url('shop'));
    await asAdmin.connect();
    await asAdmin.query('create table public.theirs (id int primary key)');
    await using recorder = record({ connection: url, source: 'outbox', ...QUICK });
    await recorder.feed.start();
    const theirs = recorder.feed.status().leftOut.find(({ table }) => table === 'public.theirs');
    assert.deepEqual([theirs?.reason, /owner to/.test(theirs?.remedy ?? '')], ['not owned', true]);
    await asAdmin.query('drop table public.theirs');
    await asAdmin.end();
  });

  test('changes of the schema are noticed, and new tables get their triggers', async () => {
    await using recorder = record({ connection: url, source: 'outbox', ...QUICK });
    const { feed, log } = recorder;
    await feed.start();
    const next = async (...statements: string[]): Promise<void> => {
      const { length } = log;
      for (const statement of statements) await pool.query(statement);
      await until(() => log.slice(length).includes('schema') && feed.status().schemaInStep, 'schema');
    };
    await next('create table fresh (id int primary key)', 'alter table orders add column w int');
    await recorder.during(pool, () => pool.query('insert into fresh values (1); update orders set w = 1'));
    await recorder.during(pool, () => pool.query('insert into fresh values (2); update orders set w = 2'));
    assert.deepEqual(describeChanges(recorder.commits), [
      'all public.fresh',
      'all public.orders',
      'insert public.fresh 2',
      'update public.orders 1,clerk,1 > 1,clerk,2',
    ]);
    // A partition that is made, or attached with triggers of its own, is followed from its first row on.
    await next('create table days_3 (id int not null, day date not null, v text, primary key (id, day))');
    const commits = await recorder.during(pool, () =>
      pool.query(`create table days_2 partition of days for values from ('2026-02-01') to ('2026-03-01');
        alter table days attach partition days_3 for values from ('2026-03-01') to ('2026-04-01');
        insert into days values (1, '2026-02-02', 'a'), (2, '2026-03-03', 'b')`),
    );
    assert.equal(commits.length, 1);
    const tables = new Set(commits[0]?.changes.map(({ relation }) => relation.name));
    assert.deepEqual([...tables].sort(), ['days_2', 'days_3']);
    const { epoch } = feed;
    await until(() => feed.epoch > epoch && feed.status().schemaInStep, 'epoch');
    await recorder.during(pool, () => pool.query('truncate days'));
    assert.deepEqual(describeChanges(recorder.commits.slice(-1)).sort(), [
      'all public.days_1',
      'all public.days_2',
      'all public.days_3',
    ]);
    await next('alter table days detach partition days_3');
    await recorder.during(pool, () => pool.query(`insert into days_3 values (3, '2026-03-03', 'c')`));
    await recorder.during(pool, () => pool.query(`insert into days_3 values (4, '2026-03-03', 'c')`));
    assert.deepEqual(describeChanges(recorder.commits.slice(-1)), ['insert public.days_3 4,2026-03-03,c']);
    assert.deepEqual(recorder.problems, []);
  });

  test('a trigger that was dropped or disabled is put back, and the hole is an epoch', async () => {
    await using recorder = record({ connection: url, source: 'outbox', ...QUICK });
    const { feed } = recorder;
    await feed.start();
    for (const statement of [
      'drop trigger vazao_outbox_update on orders',
      'alter table orders disable trigger all',
      'alter table days_1 disable trigger user',
    ]) {
      const { epoch } = feed;
      await admin.query('select 1');
      await pool.query(statement).catch(async () => {
        await pool.query(statement.replace('all', 'user')); // the triggers of constraints are a superuser's
      });
      await until(() => feed.epoch > epoch && feed.status().schemaInStep && feed.isFresh(), statement);
    }
    assert.ok(recorder.log.some((line) => line.endsWith('publication changed')));
    const commits = await recorder.during(pool, () =>
      pool.query(`update orders set v = 'again'; insert into days values (7, '2026-01-07', 'd')`),
    );
    assert.equal(describeChanges(commits).length, 2);
  });

  test('a table that becomes a parent, or a child, changes its triggers', async () => {
    await using recorder = record({ connection: url, source: 'outbox', ...QUICK });
    const { feed } = recorder;
    await feed.start();
    await pool.query('create table heir (w int, primary key (id)) inherits (lone)');
    await until(() => feed.status().tables.includes('public.heir') && feed.status().schemaInStep, 'followed');
    const commits = await recorder.during(pool, () =>
      pool.query('insert into lone values (1); insert into heir values (2, 3); update lone set id = id + 10'),
    );
    const tables = commits[0]?.changes.map(({ relation }) => relation.name);
    assert.deepEqual(new Set(tables), new Set(['lone', 'heir']));
    const { rows } = await pool.query(
      `select tgname from pg_trigger where tgrelid = 'lone'::regclass and tgname like 'vazao%' order by 1`,
    );
    assert.deepEqual(
      rows.map(({ tgname }) => tgname),
      ['vazao_outbox_row', 'vazao_outbox_truncate'],
    );
  });

  test('prepared transactions, a crash between, and a restart', async () => {
    const recorder = record({ connection: url, source: 'outbox', ...QUICK });
    const { feed } = recorder;
    await feed.start();
    await pool.query(`begin; insert into orders values (70, 'p'); prepare transaction 'first'`);
    assert.deepEqual(await recorder.during(pool, () => pool.query('select 1')), []);
    const first = await recorder.during(pool, () => pool.query(`commit prepared 'first'`));
    assert.deepEqual(
      describeChanges(first).map((line) => line.slice(0, 23)),
      ['insert public.orders 70'],
    );

    await pool.query(`begin; insert into orders values (71, 'q'); prepare transaction 'second'`);
    const { rows } = await pool.query(`select transaction::text as xid from pg_prepared_xacts`);
    const { rows: backends } = await admin.query('select pg_backend_pid() as pid');
    process.kill(backends[0].pid, 'SIGKILL'); // all sessions end, and what is unlogged is emptied
    await until(() => recorder.problems.length > 0, 'noticed');
    await until(() => feed.epoch === 2 && feed.isFresh(), 'an epoch');
    assert.equal([...feed.suspects].length, 1, 'the rows of the prepared one are gone, so it is suspect');
    assert.equal(String([...feed.suspects][0]), rows[0].xid);
    await until(
      async () => (await pool.query(`commit prepared 'second'`).catch(() => undefined)) !== undefined,
      'committed',
    );
    await until(() => feed.suspects.size === 0, 'cleared');

    const { port } = server;
    await server.stop();
    await until(() => !feed.isFresh(), 'not fresh');
    await Promise.all([admin.end(), pool.end()]);
    server = await startEmbeddedPostgres({ folder, port, settings: SETTINGS });
    openPools();
    await until(() => feed.isFresh(), 'fresh again');
    await pool.query(`insert into orders values (72, 'r')`);
    await untilPassed(feed, pool);
    assert.equal(feed.epoch, 2, 'an orderly restart keeps what is unlogged, so it is no gap');
    assert.match(describeChanges(recorder.commits).at(-1) ?? '', /^insert public\.orders 72/);
    await feed.close();
  });
});
