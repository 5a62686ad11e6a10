/** Workers in trouble that is not the application's: the database away, an event loop that stands still, no supervisor. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { SHARES_PORT } from '../runtime/listen.ts';
import { type CommandRun, runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase } from '../testing/database.ts';
import {
  ask,
  askWorker,
  findWorkers,
  type Health,
  isAlive,
  listSlots,
  until,
  untilSleeping,
} from '../testing/running-host.ts';
import { startTcpProxy } from '../testing/tcp-proxy.ts';
import { listChildren } from '../torture/parts/process-table.ts';

const ROUTES = `
    app.get('/pid', async () => ({ pid: process.pid }));
    app.get('/eight-seconds', async () => { await db.query('select pg_sleep(8)'); return {}; });
    let kept;
    app.get('/grow', async () => { kept = Buffer.alloc(200 * 1024 ** 2, 1); return { bytes: kept.length }; });
    app.get('/block', async () => { for (;;); });`;

const skip = SHARES_PORT ? false : 'several workers on one port need Linux';
suite('workers in trouble', { timeout: 600_000, skip }, () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao-workers-'));
  const application = writeApplication(join(base, 'app'), undefined, undefined, ROUTES);
  const runs: CommandRun[] = [];
  after(() => {
    // Only a test that failed leaves one; its workers end with it.
    for (const { child } of runs) child.kill('SIGKILL');
    rmSync(base, { recursive: true, force: true });
  });
  const start = (databaseUrl: string, env: Record<string, string> = {}, file = application): CommandRun => {
    const run = runCommand(
      ['start', file],
      {
        NODE_ENV: 'production',
        VAZAO_SECRET: 'x'.repeat(40),
        PORT: '0',
        WORKERS: '2',
        LOG_LEVEL: 'error',
        DATABASE_URL: databaseUrl,
        VAZAO_DATA: join(base, 'data'),
        ...env,
      },
      base,
    );
    runs.push(run);
    return run;
  };

  test('a thousand connections may wait while no worker has time for them', async () => {
    await using database = await createTestDatabase();
    const run = start(database.url, { WORKER_TIMEOUT: '0' });
    const url = await run.url;
    const workers = await findWorkers(url, 2);
    await using given = new AsyncDisposableStack();
    for (const pid of workers) {
      process.kill(pid, 'SIGSTOP');
      given.defer(() => void process.kill(pid, 'SIGCONT'));
    }
    let connected = 0;
    for (let n = 0; n < 1_000; n++) {
      const socket = connect(Number(new URL(url).port), '127.0.0.1', () => connected++);
      socket.on('error', () => {});
      given.defer(() => void socket.destroy());
    }
    // The kernel makes them as long as there is room in the queue, whoever is stopped.
    await until(() => connected === 1_000, 'all of them stand');
    await given.disposeAsync();
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
  });

  test('a worker that ends while the database is away waits for it, and is no crash loop', async () => {
    await using database = await createTestDatabase();
    await using proxy = await startTcpProxy(database.url);
    const run = start(proxy.through(database.url));
    const url = await run.url;
    const [victim = 0, survivor = 0] = await findWorkers(url, 2);
    proxy.cut();
    await until(async () => (await health(url)).status === 'unavailable', 'the database is away');
    process.kill(victim, 'SIGKILL');
    await until(async () => (await health(url)).workers.waiting_for === 'database', 'it is said what is waited for');
    const { workers } = await health(url);
    assert.deepEqual(workers, { pid: survivor, alive: 1, wanted: 2, waiting_for: 'database' });
    assert.match(
      run.output.stderr,
      /a worker ended by SIGKILL;.*\n.*it waits for the database, which can’t be reached/,
    );
    proxy.resume();
    const pids = await findWorkers(url, 2);
    assert.ok(pids.includes(survivor), 'the other went on all the time');
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
  });

  test('a worker that loses the database while it starts is tried again, and not for ever', async () => {
    await using database = await createTestDatabase();
    const failing = (name: string, times: number): string => {
      const count = join(base, `${name}-count`);
      writeFileSync(count, '');
      const routes = `
        const { appendFileSync, readFileSync } = process.getBuiltinModule('node:fs');
        if (readFileSync(${JSON.stringify(count)}).length < ${times}) {
          appendFileSync(${JSON.stringify(count)}, 'x');
          throw new Error('Connection terminated unexpectedly');
        }
        app.get('/pid', async () => ({ pid: process.pid }));`;
      return writeApplication(join(base, name), undefined, undefined, routes);
    };
    const run = start(database.url, {}, failing('twice', 2));
    await findWorkers(await run.url, 2);
    assert.match(run.output.stderr, /a worker did not start: .*terminated unexpectedly; another starts in \d+ ms/);
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);

    const never = start(database.url, {}, failing('never', 1_000));
    assert.equal(await never.ended, 1);
    assert.match(never.output.stderr, /^vazao: .*terminated unexpectedly\.$/m);
  });

  test('somebody’s SIGKILL is no defect: however often it comes, another worker takes the place', async () => {
    await using database = await createTestDatabase();
    const run = start(database.url);
    const url = await run.url;
    for (let killed = 0; killed < 6; killed++) {
      const pids = await findWorkers(url, 2);
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      for (const pid of pids) await until(() => !isAlive(pid), `worker ${pid} is gone`);
    }
    await findWorkers(url, 2);
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
  });

  test('workers that can’t start any more, after a start that went well, end everything, and it is said why', async () => {
    await using database = await createTestDatabase();
    const own = writeApplication(join(base, 'crashing'), undefined, undefined, ROUTES);
    const run = start(database.url, {}, own);
    const [victim = 0] = await findWorkers(await run.url, 2);
    writeFileSync(own, "throw new Error('a mistake of the application')");
    process.kill(victim, 'SIGKILL');
    assert.equal(await run.ended, 1, run.output.stderr);
    assert.match(
      run.output.stderr,
      /a worker did not start: .*a mistake of the application.*; another starts in \d+ ms/,
    );
    assert.match(run.output.stderr, /5 workers in a row ended within 30 s of their start, the last by code 1\./);
  });

  test('a worker that has more memory than its part is replaced when it is no longer starting, and nothing is lost', async () => {
    await using database = await createTestDatabase();
    const run = start(database.url, { MEMORY_LIMIT: '376MB' });
    const url = await run.url;
    const pids = await findWorkers(url, 2);
    const [large = 0, other = 0] = pids;
    assert.equal((await askWorker(url, large, '/grow')).status, 200);
    const told = new RegExp(
      `worker ${large} has \\d+ MB of memory, and its part is about 160 MB; another takes its place`,
    );
    const isServed = async (): Promise<boolean> => (await ask(`${url}/pid`)).status === 200;
    await until(async () => (await isServed()) && told.test(run.output.stderr), 'it is noticed');
    await until(async () => (await isServed()) && !isAlive(large), 'it has left');
    assert.ok((await findWorkers(url, 2)).includes(other), 'the other one serves on');
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
  });

  test('a worker whose event loop stands still, or that is stopped, takes no connections and is replaced', async () => {
    await using database = await createTestDatabase();
    const run = start(database.url, { WORKERS: '3', WORKER_TIMEOUT: '5s' });
    const url = await run.url;
    const [blocked = 0, stopped = 0, well = 0] = await findWorkers(url, 3);
    const cut = askWorker(url, blocked, '/block').catch(() => 'cut off');
    process.kill(stopped, 'SIGSTOP');
    await until(async () => {
      // Whoever asks now is answered, by the one that is well or by one that has come.
      const { pid } = JSON.parse((await ask(`${url}/pid`)).body);
      if (pid !== well && pid !== blocked) return true;
      return false;
    }, 'a new worker answers');
    for (const pid of [blocked, stopped]) {
      await until(() => !isAlive(pid), `worker ${pid} is gone`);
      assert.match(run.output.stderr, new RegExp(`worker ${pid} has given no sign of life for 5 s and is cut off`));
    }
    assert.equal(await cut, 'cut off');
    assert.ok((await findWorkers(url, 3)).includes(well), 'and the one that is well goes on');
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
  });

  test('without a supervisor workers let the port go at once, and end soon, whoever is still connected', async () => {
    await using database = await createTestDatabase();
    const first = start(database.url);
    const url = await first.url;
    const { port } = new URL(url);
    await findWorkers(url, 2);
    const workers = listChildren(first.child.pid ?? 0);
    const cut = ask(`${url}/eight-seconds`).catch(() => 'cut off');
    await untilSleeping(database);
    const unused = connect(Number(port), '127.0.0.1').on('error', () => {}); // on which nothing is ever asked
    first.child.kill('SIGKILL');
    assert.equal(await first.ended, 'SIGKILL'); // resolves when the workers have closed what they inherited
    assert.equal(await cut, 'cut off', 'a worker with a supervisor would have finished it');
    for (const pid of workers) await until(() => !isAlive(pid), `worker ${pid} ends`);
    unused.destroy();
    const second = start(database.url, { PORT: port });
    assert.equal(await second.url, url);
    second.child.kill('SIGTERM');
    assert.equal(await second.ended, 0, second.output.stderr);
    await until(async () => (await listSlots(database)).length === 0, 'the slots go');
  });
});

async function health(url: string): Promise<Health> {
  return JSON.parse((await ask(`${url}/health`)).body) as Health;
}
