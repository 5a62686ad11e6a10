/** What a diagnosis says of the feed's source is what a start does: each is compared with a feed that is started. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import { createFeed } from '../../feed/index.ts';
import { createTestDatabase, type TestDatabase } from '../../testing/database.ts';
import { startTestServer } from '../../testing/server.ts';
import { diagnose, type Finding } from './index.ts';

const ASKED = ['auto', 'wal', 'outbox', 'app'] as const;
type Asked = (typeof ASKED)[number];
/** What a start takes, in the order of {@link ASKED}. */
type Taken = readonly ('wal' | 'outbox' | 'app' | 'refused')[];

interface Situation {
  readonly what: string;
  readonly taken: Taken;
  /** For the superuser; `ROLE` stands for the role that the feed has, a superuser unless this creates it. */
  readonly prepare?: string;
}

const REFUSED: Taken = ['refused', 'refused', 'refused', 'refused'];
const ROLE = `create role ROLE login password 'x'`;
const OWNED = `grant create on database DATABASE to ROLE`;

const SITUATIONS: readonly Situation[] = [
  { what: 'a superuser', taken: ['wal', 'wal', 'outbox', 'app'] },
  { what: 'a role without any right', prepare: ROLE, taken: ['app', 'refused', 'refused', 'app'] },
  {
    what: 'a role that may create and not replicate',
    prepare: `${ROLE}; ${OWNED}`,
    taken: ['outbox', 'refused', 'outbox', 'app'],
  },
  {
    what: 'a role that may replicate and not create',
    prepare: `${ROLE} replication`,
    taken: ['refused', 'refused', 'refused', 'app'],
  },
  {
    what: 'a schema vazao in which the role may not create',
    prepare: `${ROLE}; ${OWNED}; create schema vazao`,
    taken: ['app', 'refused', 'refused', 'app'],
  },
  {
    what: 'a publication for all tables',
    prepare: 'create publication vazao for all tables',
    taken: ['refused', 'refused', 'outbox', 'app'],
  },
];

const find = async (url: string, feedSource: Asked, workers?: number): Promise<readonly Finding[]> => {
  const findings = await diagnose({ url, databasePoolMax: 10, feedSource, workers });
  return findings.filter(({ check }) => check === 'feed source');
};

/** What the diagnosis says that a start takes. */
function sayingOf(findings: readonly Finding[]): string {
  const [finding, ...others] = findings;
  assert.deepEqual(others, []);
  if (finding?.level === 'failure') return 'refused';
  return /\((\w+)\)/.exec(finding?.detail ?? '')?.[1] ?? `${finding?.detail}`;
}

async function take(url: string, source: Asked): Promise<string> {
  await using feed = createFeed({ connection: url, source });
  return await feed.start().then(
    () => feed.status().source,
    () => 'refused',
  );
}

/** Each source that may be asked for in a database of its own: what a feed has made would be there for the next. */
async function compare(serverUrl: string | undefined, { taken, prepare = '' }: Situation): Promise<void> {
  for (const [at, asked] of ASKED.entries()) {
    await using database = await createTestDatabase({ serverUrl });
    const role = `${database.name}_role`;
    const hasRole = prepare.includes('ROLE');
    await database.pool.query(prepare.replaceAll('ROLE', role).replaceAll('DATABASE', database.name));
    const url = new URL(database.url);
    if (hasRole) [url.username, url.password] = [role, 'x'];
    const said = sayingOf(await find(url.href, asked));
    assert.deepEqual([asked, said, await take(url.href, asked)], [asked, taken[at], taken[at]]);
    if (hasRole) await database.pool.query(`drop owned by ${role} cascade; drop role ${role}`);
  }
}

suite('the source of the feed that is found is the one that a start takes', { timeout: 480_000 }, () => {
  for (const situation of SITUATIONS) test(`with ${situation.what}`, () => compare(undefined, situation));

  test('with a database that has no encoding', async () => {
    await using database = await createTestDatabase();
    const name = `${database.name}_ascii`;
    await database.pool.query(
      `create database ${name} encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0`,
    );
    const url = new URL(database.url);
    url.pathname = name;
    for (const [at, asked] of ASKED.entries()) {
      const found = await find(url.href, asked);
      assert.deepEqual([sayingOf(found), await take(url.href, asked)], [REFUSED[at], REFUSED[at]]);
      assert.match(found[0]?.detail ?? '', /SQL_ASCII/);
    }
    await database.pool.query(`drop database ${name}`);
  });

  test('with an outbox of another role, of which it names the owner', async () => {
    await using database = await createTestDatabase();
    const role = `${database.name}_role`;
    await take(database.url, 'outbox');
    await database.pool.query(`create role ${role} login password 'x'; grant create on database ${database.name} to ${role};
      grant usage, create on schema vazao to ${role}`);
    const url = new URL(database.url);
    [url.username, url.password] = [role, 'x'];
    const found = await find(url.href, 'outbox');
    assert.deepEqual([sayingOf(found), await take(url.href, 'outbox')], ['refused', 'refused']);
    const owner = new URL(database.url).username;
    assert.match(found[0]?.remedy[0] ?? '', new RegExp(`GRANT "?${owner}"? TO ${role};$`));
    await database.pool.query(`grant ${pg.escapeIdentifier(owner)} to ${role}`);
    assert.deepEqual([sayingOf(await find(url.href, 'outbox')), await take(url.href, 'outbox')], ['outbox', 'outbox']);
    await database.pool.query(`drop owned by ${role} cascade; drop role ${role}`);
  });

  for (const settings of [{ wal_level: 'replica' }, { wal_level: 'logical', max_wal_senders: '0' }]) {
    suite(`on a server with ${JSON.stringify(settings)}`, () => {
      let server: Awaited<ReturnType<typeof startTestServer>>;
      before(async () => {
        server = await startTestServer(settings);
      });
      after(() => server.stop());
      const superuser: Situation = { what: 'a superuser', taken: ['outbox', 'refused', 'outbox', 'app'] };
      test(`with ${superuser.what}`, () => compare(server.url, superuser));
    });
  }
});

suite('a feed that knows only what its own server writes', { timeout: 480_000 }, () => {
  test('is refused with several workers, be it asked for or all that is left', async () => {
    await using database = await createTestDatabase();
    assert.deepEqual(
      (await find(database.url, 'app', 2)).map(({ level, remedy }) => [level, remedy]),
      [['failure', ['Set WORKERS=0.']]],
    );
    assert.deepEqual(
      (await find(database.url, 'outbox', 2)).map(({ level }) => level),
      ['ok'],
    );
    const role = `${database.name}_poor`;
    await database.pool.query(`create role ${role} login password 'x'`);
    const url = new URL(database.url);
    [url.username, url.password] = [role, 'x'];
    const [found] = await find(url.href, 'auto', 2);
    assert.equal(found?.level, 'failure');
    assert.deepEqual(found?.remedy, ['Set WORKERS=0.', `GRANT CREATE ON DATABASE ${database.name} TO ${role};`]);
    await database.pool.query(`drop role ${role}`);
  });

  test('is said to be unsafe as soon as two servers have one', async () => {
    await using database: TestDatabase = await createTestDatabase();
    const levels = async (): Promise<string[]> => (await find(database.url, 'app')).map(({ level }) => level);
    await using one = createFeed({ connection: database.url, source: 'app' });
    await one.start();
    assert.deepEqual(await levels(), ['advice']);
    await using other = createFeed({ connection: database.url, source: 'app' });
    await other.start();
    assert.deepEqual(await levels(), ['advice', 'advice']);
    assert.match((await find(database.url, 'app'))[1]?.detail ?? '', /^2 servers/);
  });
});
