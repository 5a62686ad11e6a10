import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startEmbeddedPostgres } from './embedded-postgres.ts';
import { findServer } from './embedded-process.ts';

const asRoot = process.getuid?.() === 0;

suite('embedded PostgreSQL', { timeout: 480_000 }, () => {
  let base: string;
  /** A folder with a stopped server, to copy. */
  let template: string;

  before(async () => {
    base = await mkdtemp(join(tmpdir(), 'vazao-embedded-'));
    template = join(base, 'template');
    const server = await startEmbeddedPostgres({ folder: template });
    await server.ensureDatabase('kept');
    await write(server.url('kept'), 'create table t as select 1 as n');
    await server.stop();
  });
  after(() => rmSync(base, { recursive: true, force: true }));

  let copies = 0;
  const copy = (): string => {
    copies += 1;
    const folder = join(base, `copy-${copies}`);
    cpSync(template, folder, { recursive: true, preserveTimestamps: true });
    if (asRoot) chownLike(template, folder);
    return folder;
  };

  test('keeps data and port from start to start, and its password to itself', async () => {
    const folder = copy();
    await using first = await startEmbeddedPostgres({ folder });
    assert.deepEqual(await read(first.url('kept')), [{ n: 1 }]);
    await first.stop();
    await using second = await startEmbeddedPostgres({ folder });
    assert.equal(second.port, first.port);
    assert.equal(second.url('kept'), first.url('kept'));
    assert.equal(statSync(join(folder, 'password')).mode & 0o777, 0o600);
  });

  test('takes another port when its own is taken', async () => {
    const folder = copy();
    const other = createServer();
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
    const { port } = other.address() as { port: number };
    await using server = await startEmbeddedPostgres({ folder, port });
    assert.notEqual(server.port, port);
    other.close();
  });

  test('two starts at once share one server, which only its owner stops', async () => {
    const folder = join(base, 'shared');
    const servers = await Promise.all([startEmbeddedPostgres({ folder }), startEmbeddedPostgres({ folder })]);
    assert.deepEqual(servers.map(({ owned }) => owned).sort(), [false, true]);
    const guest = servers.find(({ owned }) => !owned);
    const owner = servers.find(({ owned }) => owned);
    assert.ok(guest && owner);
    assert.equal(guest.port, owner.port);
    await guest.stop();
    await write(owner.url('postgres'), 'select 1');
    await owner.stop();
    await assert.rejects(write(owner.url('postgres'), 'select 1'));
  });

  test('adopts the server of a killed process, with what it had committed', async () => {
    const folder = copy();
    const holder = spawn(process.execPath, ['--input-type=module-typescript', '-'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    holder.stdin.end(
      `import { startEmbeddedPostgres } from ${JSON.stringify(new URL('./embedded-postgres.ts', import.meta.url).href)};
       const server = await startEmbeddedPostgres({ folder: ${JSON.stringify(folder)} });
       process.stdout.write(server.url('kept') + '\\n');
       setInterval(() => {}, 1000);`,
    );
    const url = await new Promise<string>((done) => holder.stdout.once('data', (data) => done(String(data).trim())));
    await write(url, 'insert into t values (2)');
    holder.kill('SIGKILL');
    await new Promise((done) => holder.once('exit', done));
    await using server = await startEmbeddedPostgres({ folder });
    assert.equal(server.url('kept'), url, 'the same server goes on');
    assert.ok(server.owned);
    assert.deepEqual(await read(url), [{ n: 1 }, { n: 2 }]);
    await server.stop();
    await assert.rejects(read(url), 'an adopted server is stopped, too');
  });

  test('starts beside a postmaster.pid whose process id belongs to another program', async () => {
    const folder = copy();
    const pid = process.pid;
    writeFileSync(
      join(folder, 'data/postmaster.pid'),
      `${pid}\n${folder}/data\n1700000000\n5432\n\n127.0.0.1\n1 2\nready\n`,
    );
    await using server = await startEmbeddedPostgres({ folder });
    assert.deepEqual(await read(server.url('kept')), [{ n: 1 }]);
  });

  test('says when it stopped by itself, and starts again with everything committed', async () => {
    const folder = copy();
    const { promise, resolve } = Promise.withResolvers<Error>();
    const server = await startEmbeddedPostgres({ folder, onCrash: resolve });
    await write(server.url('kept'), 'insert into t values (3)');
    process.kill(Number(readFileSync(join(folder, 'data/postmaster.pid'), 'utf8').split('\n')[0]), 'SIGKILL');
    assert.match((await promise).message, /^PostgreSQL stopped by itself\. Committed data is safe/);
    await using again = await startEmbeddedPostgres({ folder });
    assert.deepEqual(await read(again.url('kept')), [{ n: 1 }, { n: 3 }]);
  });

  test('stops while a session is in a transaction', async (t) => {
    const server = await startEmbeddedPostgres({ folder: copy() });
    const client = new pg.Client(server.url('kept'));
    client.on('error', () => {});
    await client.connect();
    await client.query('begin; insert into t values (4)');
    const startedAt = performance.now();
    await server.stop();
    t.diagnostic(`stopped in ${(performance.now() - startedAt).toFixed(0)} ms`);
  });

  test('a start that is ended half-way leaves nothing unfinished', async () => {
    const folder = join(base, 'ended');
    const ending = new AbortController();
    const starting = startEmbeddedPostgres({ folder, signal: ending.signal });
    setTimeout(() => ending.abort(), 150);
    await assert.rejects(starting, { name: 'AbortError' });
    assert.ok(!existsSync(join(folder, 'data')));
    await using server = await startEmbeddedPostgres({ folder });
    assert.ok(server.port > 0);
  });

  const refuses = (title: string, spoil: (folder: string) => void, message: RegExp, code: string): void => {
    test(`refuses ${title} in one sentence, and deletes nothing`, async () => {
      const folder = copy();
      spoil(folder);
      const version = (): string | undefined =>
        existsSync(join(folder, 'data/PG_VERSION')) ? readFileSync(join(folder, 'data/PG_VERSION'), 'utf8') : undefined;
      const before = version();
      await assert.rejects(startEmbeddedPostgres({ folder }), (error: Error & { code: string }) => {
        assert.match(error.message, message);
        assert.equal(error.code, code);
        return true;
      });
      assert.equal(version(), before);
      await delay(50);
      assert.equal(await findServer(join(folder, 'data')), undefined, 'no server is left running');
    });
  };
  const incomplete = /is there, but holds no complete PostgreSQL data\. Nothing was changed in it/;
  refuses(
    'an incomplete data folder',
    (folder) => rmSync(join(folder, 'data/PG_VERSION')),
    incomplete,
    'ERR_RUNTIME_DATA_FOLDER',
  );
  refuses(
    'data of another PostgreSQL',
    (folder) => writeFileSync(join(folder, 'data/PG_VERSION'), '17\n'),
    /holds data of PostgreSQL 17, and this release runs 18/,
    'ERR_RUNTIME_DATA_FOLDER',
  );
  refuses(
    'a damaged control file',
    (folder) => writeFileSync(join(folder, 'data/global/pg_control'), 'x'),
    /^PostgreSQL did not start.*pg_control.*restore the folder from a backup/,
    'ERR_RUNTIME_POSTGRES_START',
  );
  refuses(
    'a lost log of transactions',
    (folder) => renameSync(join(folder, 'data/pg_wal'), join(folder, 'elsewhere')),
    /^PostgreSQL did not start.*"pg_wal" does not exist/,
    'ERR_RUNTIME_POSTGRES_START',
  );
  refuses(
    'a password that is not the one of the data',
    (folder) => writeFileSync(join(folder, 'password'), 'another\n'),
    /^The password in .* is not the one of the data beside it/,
    'ERR_RUNTIME_DATA_FOLDER',
  );

  test('refuses a folder that is a file', async () => {
    const folder = join(base, 'file');
    writeFileSync(folder, '');
    await assert.rejects(startEmbeddedPostgres({ folder }), {
      code: 'ERR_RUNTIME_DATA_FOLDER',
      message: /can't be used/,
    });
  });

  test('as root it reaches a folder that only root may enter', { skip: !asRoot }, async () => {
    const closed = join(base, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    await using server = await startEmbeddedPostgres({ folder: join(closed, 'inside') });
    await write(server.url('postgres'), 'create table t (n int)');
  });

  test('as another user it says whose the folder is', { skip: !asRoot }, async () => {
    const folder = copy();
    const program = `import(${JSON.stringify(new URL('./embedded-postgres.ts', import.meta.url).href)})
      .then((it) => it.startEmbeddedPostgres({ folder: ${JSON.stringify(folder)} })).catch((error) => process.stdout.write(error.message))`;
    // 12345 owns nothing; the way to the folder is open to it.
    chmodSync(base, 0o755);
    const child = spawn(process.execPath, ['-e', program], {
      uid: 12_345,
      gid: 12_345,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (data) => {
      said += data;
    });
    await new Promise((done) => child.once('close', done));
    assert.match(
      said,
      /^The data folder .* can't be used: it belongs to another user \(uid \d+\)\. Run as that user, take it over/,
    );
  });
});

function chownLike(from: string, to: string): void {
  const { uid, gid } = statSync(join(from, 'data'));
  execFileSync('chown', ['-R', `${uid}:${gid}`, to]);
}

async function read(url: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query('select n from t order by n');
  await client.end();
  return rows;
}

async function write(url: string, text: string): Promise<void> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  await client.query(text);
  await client.end();
}
