/** `vazao start` with several workers: one answer from all of them, deaths that nobody notices, and an end that leaves nothing. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, suite, test } from 'node:test';
import { SHARES_PORT } from '../runtime/listen.ts';
import { type CommandRun, runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { ask, askWorker, findWorkers, isAlive, listSlots, until, untilSleeping } from '../testing/running-host.ts';
import { listChildren } from '../torture/parts/process-table.ts';

const CONECTADES = resolve(import.meta.dirname, '../../../../apps/conectades');
const PASSWORD = 'a-long-password-for-tests';
const CNPJS = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(toCnpj);
const ROUTES = `
    app.get('/crash', async () => { setTimeout(() => { throw new Error('lost'); }); return {}; });
    app.get('/slow-pid', async () => { await db.query('select pg_sleep(2)'); return { pid: process.pid }; });`;

const skip = SHARES_PORT ? false : 'several workers on one port need Linux';
suite('vazao start with workers', { timeout: 600_000, skip }, () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao-supervisor-'));
  const runs: CommandRun[] = [];
  after(() => {
    // Only a test that failed leaves one; its workers end with it.
    for (const { child } of runs) child.kill('SIGKILL');
    rmSync(base, { recursive: true, force: true });
  });

  const start = (words: string, database: TestDatabase, env: Record<string, string> = {}): CommandRun => {
    const run = runCommand(
      ['start', words],
      {
        NODE_ENV: 'production',
        VAZAO_SECRET: 'x'.repeat(40),
        PORT: '0',
        WORKERS: '2',
        LOG_LEVEL: 'error',
        DATABASE_URL: database.url,
        VAZAO_DATA: join(base, 'data'),
        ...env,
      },
      base,
    );
    runs.push(run);
    return run;
  };

  test('conectades: a write through one worker shows through the other, and the death of one costs nothing', async () => {
    await using database = await createTestDatabase();
    const run = start(CONECTADES, database, { ADMIN_PASSWORD: PASSWORD });
    const url = await run.url;
    const list = '/api/organizadoras/listar/';
    let pids = await findWorkers(url, 2);
    const access = await logIn(url);
    for (let written = 1; written <= 9; written++) {
      const [writer = 0] = pids;
      const answer = await askWorker(url, writer, '/api/organizadoras/', {
        method: 'POST',
        headers: { authorization: `Bearer ${access}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          nome: `Casa ${written}`,
          cnpj: CNPJS[written - 1],
          descricao: '',
          cidade: 'Itu',
          uf: 'SP',
        }),
      });
      assert.equal(answer.status, 201, answer.body);
      // Every worker has had the list in its cache from the round before, but for one that has just come.
      const headers = { 'vazao-position': String(answer.headers['vazao-position']) };
      for (const pid of pids) {
        const { body, status } = await askWorker(url, pid, list, { headers });
        assert.deepEqual([status, JSON.parse(body).total], [200, written], `worker ${pid}`);
      }
      if (written % 4 !== 0) continue;
      process.kill(writer, 'SIGKILL');
      const [, survivor = 0] = pids;
      assert.equal(JSON.parse((await askWorker(url, survivor, list)).body).total, written, 'the other goes on');
      pids = await findWorkers(url, 2);
      assert.ok(pids.includes(survivor) && !pids.includes(writer), 'and a new one has come');
      pids.reverse();
    }
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
    for (const pid of pids) assert.equal(isAlive(pid), false, `worker ${pid} has ended`);
    assert.deepEqual(await listSlots(database), []);
  });

  test('an error that nobody caught ends its worker alone; what is in flight there is finished', async () => {
    await using database = await createTestDatabase();
    const file = writeApplication(join(base, 'crashing'), undefined, undefined, ROUTES);
    const run = start(file, database);
    const url = await run.url;
    const [victim = 0, other = 0] = await findWorkers(url, 2);
    const slow = askWorker(url, victim, '/slow-pid');
    await untilSleeping(database);
    await askWorker(url, victim, '/crash');
    assert.deepEqual(JSON.parse((await slow).body), { pid: victim });
    const afterwards = await findWorkers(url, 2);
    assert.ok(afterwards.includes(other) && !afterwards.includes(victim));
    assert.match(run.output.stderr, new RegExp(`^vazao: worker ${victim} ends: lost$`, 'm'));
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
  });

  test('a worker that could not be followed by another gives way to one process, and several are refused', async () => {
    await using database = await createTestDatabase();
    const file = writeApplication(join(base, 'unshared'), undefined, undefined, ROUTES);
    const one = start(file, database, { WORKERS: '1', VAZAO_FEED: 'app', WORKER_REQUESTS_MAX: '1000' });
    const url = await one.url;
    assert.deepEqual(await findWorkers(url, 1), [one.child.pid], 'the process that was started serves');
    assert.match(one.output.stdout, /with one process$/m);
    assert.match(one.output.stderr, /^vazao: this database tells of no changes .* so one process serves alone, .*$/m);
    for (const n of [0, 1]) {
      assert.deepEqual(JSON.parse((await ask(`${url}/count`)).body), { n });
      await ask(`${url}/count`, { method: 'POST' });
    }
    one.child.kill('SIGHUP');
    await until(() => /one process alone can’t be reloaded/.test(one.output.stderr), 'it is said that it can not');
    one.child.kill('SIGTERM');
    assert.equal(await one.ended, 0, one.output.stderr);

    const several = start(file, database, { VAZAO_FEED: 'app' });
    assert.equal(await several.ended, 1);
    assert.match(several.output.stderr, /^vazao: This database tells of no changes, .* Set WORKERS=0, or mend/m);
  });

  test('without workers the process that was started serves, and its death is the end', async () => {
    await using database = await createTestDatabase();
    const run = start(writeApplication(join(base, 'alone')), database, { WORKERS: '0' });
    const url = await run.url;
    assert.deepEqual(await findWorkers(url, 1), [run.child.pid]);
    assert.deepEqual(listChildren(run.child.pid ?? 0), []);
    assert.match(run.output.stdout, /with one process$/m);
    run.child.kill('SIGKILL');
    assert.equal(await run.ended, 'SIGKILL');
    await assert.rejects(ask(url), { code: 'ECONNREFUSED' });
  });

  test('workers end when the supervisor was killed, and their port is free', async () => {
    await using database = await createTestDatabase();
    const run = start(writeApplication(join(base, 'orphans')), database);
    const pids = await findWorkers(await run.url, 2);
    run.child.kill('SIGKILL');
    assert.equal(await run.ended, 'SIGKILL'); // resolves when the workers have closed what they inherited
    for (const pid of pids) await until(() => !isAlive(pid), `worker ${pid} ends`);
    await until(async () => (await listSlots(database)).length === 0, 'the slot goes');
  });

  test('SIGTERM lets what is in flight finish; the second signal does not', async () => {
    await using database = await createTestDatabase();
    const file = writeApplication(join(base, 'draining'), undefined, undefined, ROUTES);
    const first = start(file, database);
    const slow = ask(`${await first.url}/slow-pid`);
    await untilSleeping(database);
    first.child.kill('SIGTERM');
    assert.equal((await slow).status, 200);
    assert.equal(await first.ended, 0, first.output.stderr);

    const second = start(file, database);
    const url = await second.url;
    const pids = await findWorkers(url, 2);
    const cut = ask(`${url}/slow`).catch(() => 'cut off');
    await untilSleeping(database);
    second.child.kill('SIGTERM');
    await until(
      () =>
        ask(url).then(
          () => false,
          () => true,
        ),
      'it stops accepting',
    );
    second.child.kill('SIGTERM');
    assert.equal(await second.ended, 130);
    assert.equal(await cut, 'cut off');
    for (const pid of pids) await until(() => !isAlive(pid), `worker ${pid} ends`);
  });

  test('an application that can not start, or whose workers die one after the other, ends it with a sentence', async () => {
    await using database = await createTestDatabase();
    const failing = start(
      writeApplication(join(base, 'failing'), "identify: () => { throw new Error('no identity'); },"),
      database,
    );
    assert.equal(await failing.ended, 1);
    assert.match(failing.output.stderr, /^vazao: The application little did not start: no identity\.$/m);

    const dying = start(writeApplication(join(base, 'dying'), 'identify: () => process.exit(7),'), database);
    assert.equal(await dying.ended, 1);
    assert.match(
      dying.output.stderr,
      /^vazao: 5 workers in a row ended within 30 s of their start, the last by code 7\./m,
    );
    await until(async () => (await listSlots(database)).length === 0, 'the slot goes');
  });
});

/** A number of an organisation, with its two check digits. */
function toCnpj(number: number): string {
  let digits = String(number).padStart(8, '0').padEnd(12, '0');
  for (const weights of ['543298765432', '6543298765432']) {
    const sum = [...weights].reduce((total, weight, index) => total + Number(weight) * Number(digits[index]), 0);
    digits += sum % 11 < 2 ? 0 : 11 - (sum % 11);
  }
  return digits;
}

async function logIn(url: string): Promise<string> {
  const answer = await ask(`${url}/api/token/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'admin', password: PASSWORD }),
  });
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body).access;
}
