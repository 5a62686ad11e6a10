import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createTestDatabase } from '../../testing/database.ts';
import { startTestServer } from '../../testing/server.ts';
import { diagnose, type Finding } from './index.ts';

const pick = (findings: readonly Finding[], check: string): readonly Finding[] =>
  findings.filter((finding) => finding.check === check);

suite('a diagnosis', { timeout: 480_000 }, () => {
  test('of a database in which the feed can run has no failure', async () => {
    await using database = await createTestDatabase();
    const findings = await diagnose({ url: database.url, databasePoolMax: 10 });
    // Other test files share the server, and may be writing for long.
    const failures = findings.filter(({ level, check }) => level === 'failure' && check !== 'old transaction');
    assert.deepEqual(failures, []);
    assert.match(pick(findings, 'version')[0]?.detail ?? '', /^PostgreSQL 18/);
  });

  test('names tables whose old rows are not in the log, with the statement for each', async () => {
    await using database = await createTestDatabase();
    await database.pool.query(`create table "Odd Name" (id int primary key); create table keyless (n int);
      create table whole (n int); alter table whole replica identity full`);
    const found = pick(await diagnose({ url: database.url, databasePoolMax: 10 }), 'replica identity');
    assert.deepEqual(
      found.flatMap(({ remedy }) => remedy),
      [
        'alter table "public"."keyless" replica identity full;',
        'ALTER TABLE "public"."Odd Name" REPLICA IDENTITY FULL;',
      ],
    );
    for (const statement of found.flatMap(({ remedy }) => remedy)) await database.pool.query(statement);
    const mended = pick(await diagnose({ url: database.url, databasePoolMax: 10 }), 'replica identity');
    assert.deepEqual(
      mended.map(({ level }) => level),
      ['ok'],
    );
  });

  test('names a publication for all tables', async () => {
    await using database = await createTestDatabase();
    await database.pool.query('create publication vazao for all tables');
    const [found] = pick(await diagnose({ url: database.url, databasePoolMax: 10 }), 'publication');
    assert.equal(found?.level, 'failure');
    assert.equal(found?.remedy[0], 'DROP PUBLICATION vazao;');
  });

  test('a feed from the stream needs no slot, and servers that write it', async () => {
    await using database = await createTestDatabase();
    const find = async (): Promise<string> => {
      const findings = await diagnose({ url: database.url, databasePoolMax: 10, feedSource: 'stream' });
      assert.deepEqual(pick(findings, 'max_replication_slots'), []);
      const [found] = pick(findings, 'feed source');
      return `${found?.level}: ${found?.detail}`;
    };
    assert.match(await find(), /^failure: .* \(stream\), and no server is there/);
    for (const expected of [/^advice: .*only one server/, /^ok: .*; 2 servers can write it$/]) {
      await (await database.client()).query(`set application_name = 'vazao leader'`);
      assert.match(await find(), expected);
    }
  });

  test('names what a poor role lacks', async () => {
    await using database = await createTestDatabase();
    const role = `${database.name}_poor`;
    await database.pool.query(`create role ${role} login password 'poor'`);
    const url = new URL(database.url);
    url.username = role;
    url.password = 'poor';
    const findings = await diagnose({ url: url.href, databasePoolMax: 10 });
    assert.deepEqual(pick(findings, 'replication')[0]?.remedy, [`ALTER ROLE ${role} REPLICATION;`]);
    assert.deepEqual(pick(findings, 'create')[0]?.remedy, [`GRANT CREATE ON DATABASE ${database.name} TO ${role};`]);
    const failures = findings.filter(({ level }) => level === 'failure');
    assert.deepEqual(failures, [], 'it has `app` left, and would start with that');
    const exact = await diagnose({ url: url.href, databasePoolMax: 10, feedSource: 'wal' });
    assert.equal(pick(exact, 'replication connection')[0]?.level, 'failure');
    await database.pool.query(`drop role ${role}`);
  });

  test('names the settings of a server that does not log row changes and has no room, which other sources do without', async () => {
    const server = await startTestServer({ wal_level: 'replica', max_replication_slots: '0', max_wal_senders: '0' });
    try {
      const findings = await diagnose({ url: server.url, databasePoolMax: 10 });
      assert.equal(pick(findings, 'wal_level')[0]?.remedy[0], "ALTER SYSTEM SET wal_level = 'logical';");
      assert.equal(
        pick(findings, 'max_replication_slots')[0]?.remedy[0],
        'ALTER SYSTEM SET max_replication_slots = 10;',
      );
      assert.equal(pick(findings, 'max_wal_senders')[0]?.remedy[0], 'ALTER SYSTEM SET max_wal_senders = 10;');
      assert.equal(pick(findings, 'wal_level')[0]?.level, 'advice', 'it starts with an outbox');
      for (const feedSource of ['auto', 'outbox', 'app'] as const) {
        const without = await diagnose({ url: server.url, databasePoolMax: 10, feedSource });
        assert.deepEqual([feedSource, ...without.filter(({ level }) => level === 'failure')], [feedSource]);
      }
    } finally {
      await server.stop();
    }
  });
});
