/** Each way in which a start fails: one sentence, exit code 1, nothing left running. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, suite, test } from 'node:test';
import pg from 'pg';
import { runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { startTestServer } from '../testing/server.ts';

suite('a start that fails', { timeout: 480_000 }, () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao-failures-'));
  const application = writeApplication(join(base, 'little'));
  let database: TestDatabase;
  let count = 0;

  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database[Symbol.asyncDispose]());
  after(() => rmSync(base, { recursive: true, force: true }));

  const failsWith = async (
    message: RegExp,
    env: Record<string, string> = {},
    words: readonly string[] = ['dev', application],
    code = 1,
  ): Promise<void> => {
    count += 1;
    const own = { PORT: '0', VAZAO_DATA: join(base, `data-${count}`), ...env };
    const { child, ended, output } = runCommand(words, own, base);
    const giveUp = setTimeout(() => child.kill('SIGKILL'), 60_000);
    assert.equal(await ended, code, output.stderr + output.stdout);
    clearTimeout(giveUp);
    assert.match(output.stderr, message);
    const lines = output.stderr
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('…'));
    assert.equal(lines.length, 1, `one sentence, not:\n${output.stderr}`);
    assert.equal(output.stdout, '');
  };
  const withDatabase = (change: (url: URL) => void): Record<string, string> => {
    const url = new URL(database.url);
    change(url);
    return { DATABASE_URL: url.href };
  };

  test('a word that is no command', () =>
    failsWith(/^vazao: There is no command strat\. Did you mean start\?$/m, {}, ['strat'], 2));

  test('a value that is not allowed', () => failsWith(/^vazao: PORT is "x"; allowed is a whole number/, { PORT: 'x' }));

  test('a variable that does not exist', () =>
    failsWith(/^vazao: VAZAO_DEBUGG is set, but there is no such variable\. Did you mean VAZAO_DEBUG\?/, {
      VAZAO_DEBUGG: '1',
    }));

  test('production without a secret', () =>
    failsWith(/^vazao: VAZAO_SECRET is not set, and production needs it/, {}, ['start', application]));

  test('production with passwords and a token that everybody tries first', () =>
    failsWith(
      /^vazao: little does not start in production\. The password in REDIS_URL is .* The password in VAZAO_STATE_REDIS_URL is .* VAZAO_METRICS_TOKEN is [^\n]+$/m,
      {
        VAZAO_SECRET: randomBytes(20).toString('hex'),
        REDIS_URL: 'redis://:foobared@redis.invalid',
        VAZAO_STATE_REDIS_URL: 'redis://:redis@redis.invalid',
        VAZAO_METRICS_TOKEN: 'change-me-change-me',
        WORKERS: '1',
      },
      ['start', application],
    ));

  test('a port that is taken', async () => {
    const other = createServer();
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
    const { port } = other.address() as { port: number };
    await failsWith(
      new RegExp(`^vazao: Port ${port} on 127\\.0\\.0\\.1 is taken by another program\\. Stop that one, or set PORT`),
      {
        PORT: String(port),
      },
    );
    other.close();
  });

  test('an address of another machine', () =>
    failsWith(/^vazao: HOST is 192\.0\.2\.1, which is no address of this machine\./, { HOST: '192.0.2.1' }));

  test('an application that does not exist', () =>
    failsWith(/^vazao: There is no \.\/nowhere\.ts in /, {}, ['dev', './nowhere.ts']));

  test('an application that throws while it is loaded', () => {
    const file = join(base, 'throwing.ts');
    writeFileSync(file, `const settings = undefined;\nexport default settings.name;\n`);
    return failsWith(
      /^vazao: throwing\.ts failed while it was loaded: Cannot read properties of undefined \(reading 'name'\) \(throwing\.ts:2\)\.$/m,
      {},
      ['dev', file],
    );
  });

  test('a module that exports something else', () => {
    const file = join(base, 'other.ts');
    writeFileSync(file, 'export default { name: "Not A Name" };\n');
    return failsWith(/^vazao: other\.ts exports an application whose `name` is "Not A Name"; allowed are/, {}, [
      'dev',
      file,
    ]);
  });

  test('an application that throws while it registers', () => {
    const file = writeApplication(
      join(base, 'refusing'),
      "register() { throw new Error('the mail server is not configured'); },",
    );
    return failsWith(
      /^vazao: The application little did not start: the mail server is not configured\.$/m,
      { DATABASE_URL: database.url },
      ['dev', file],
    );
  });

  test('a data folder that is a file', () => {
    const file = join(base, 'a-file');
    writeFileSync(file, '');
    return failsWith(/^vazao: The data folder .*a-file can't be used: .*set VAZAO_DATA/, { VAZAO_DATA: file });
  });

  test('a database that nobody serves', () =>
    failsWith(/^vazao: Nothing answers at 127\.0\.0\.1:1\. Start PostgreSQL there, or correct DATABASE_URL/, {
      DATABASE_URL: 'postgresql://u:geheim@127.0.0.1:1/d',
    }));

  test('a password that is wrong, and is not repeated', () =>
    failsWith(
      /^vazao: PostgreSQL at 127\.0\.0\.1:\d+ does not accept the password of the user postgres\. Correct it in DATABASE_URL\.$/m,
      withDatabase((url) => {
        url.password = 'geheim';
      }),
    ));

  test('a role that may not create the database', async () => {
    await database.pool.query(`create role ${database.name}_poor login password 'poor'`);
    await failsWith(
      /^vazao: PostgreSQL at .* has no database nowhere, and the user test_\w+_poor may not create it\. Create it: `create database "nowhere" owner/,
      withDatabase((url) => {
        url.username = `${database.name}_poor`;
        url.password = 'poor';
        url.pathname = '/nowhere';
      }),
    );
    await database.pool.query(`drop role ${database.name}_poor`);
  });

  test('a role that may not replicate, where that is asked for', async () => {
    const role = `${database.name}_app`;
    await database.pool.query(`create role ${role} login password 'app'; grant create on database ${database.name} to ${role};
      grant create on schema public to ${role}`);
    await failsWith(
      /^vazao: The changes of the database can't be followed\. .*may not use replication.*`alter role test_\w+_app replication`.*`vazao doctor` checks the rest\.$/m,
      {
        ...withDatabase((url) => {
          url.username = role;
          url.password = 'app';
        }),
        VAZAO_FEED: 'wal',
      },
    );
    await database.pool.query(`drop owned by ${role} cascade; drop role ${role}`);
  });

  test('a server that does not log row changes, where that is asked for', async () => {
    const server = await startTestServer({ wal_level: 'replica' });
    try {
      await failsWith(
        /^vazao: The changes of the database can't be followed\. wal_level is replica; .*`alter system set wal_level = logical`, then restart/,
        { DATABASE_URL: server.url, VAZAO_FEED: 'wal' },
      );
    } finally {
      await server.stop();
    }
  });

  test('a migration that fails', async () => {
    const file = writeApplication(join(base, 'broken'), '', 'create table b (n int);\ncreate table b (n int);\n');
    await failsWith(
      /^vazao: The migration migrations\/0001_tables\.sql, line \d failed: relation "b" already exists \[42P07\]\. All of it was rolled back/,
      { DATABASE_URL: database.url },
      ['dev', file],
    );
    const client = new pg.Client(database.url);
    await client.connect();
    const { rows } = await client.query("select to_regclass('b') as b");
    await client.end();
    assert.equal(rows[0].b, null);
  });

  test('explaining without a server', () =>
    failsWith(
      /^vazao: No server answers at http:\/\/127\.0\.0\.1:65533 \(connect ECONNREFUSED.*\)\. Start one with `vazao dev <app>`/,
      { PORT: '65533' },
      ['explain', '/'],
    ));

  test('a diagnosis without a database', () =>
    failsWith(/^vazao: There is no database in .* yet\. `vazao dev <app>` creates one/, {}, ['doctor']));
});
