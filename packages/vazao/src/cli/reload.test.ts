/** Reload, recycling and kills under load: what is asked meanwhile is answered. Longer: `npm run soak:reload`. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { SHARES_PORT } from '../runtime/listen.ts';
import { sayWorkers } from '../runtime/supervisor.ts';
import { type CommandRun, runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase } from '../testing/database.ts';
import { createRandom } from '../testing/random.ts';
import { ask, findWorkers, isAlive, until } from '../testing/running-host.ts';
import { type SteadyResult, startSteadyClients } from '../testing/steady-clients.ts';

const ROUTES = `
    app.get('/pid', async () => ({ pid: process.pid, version: 1, word: process.env.WORD }));
    app.get('/cached', { config: { cache: true } }, async () => { await db.query('select count(*) from a'); return { pid: process.pid }; });`;
const PRODUCTION = { NODE_ENV: 'production', PORT: '0', WORKERS: '2', LOG_LEVEL: 'error' };
const CLIENTS = { kept: 6, fresh: 3, thinkMaxMs: 10 };

const skip = SHARES_PORT ? false : 'several workers on one port need Linux';
suite('a host that changes under load', { timeout: 600_000, skip }, () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao-reload-'));
  writeFileSync(join(base, 'package.json'), '{ "workspaces": [] }');
  after(() => rmSync(base, { recursive: true, force: true }));
  /** What a test that failed leaves running ends before its database is dropped; the workers end with their supervisor. */
  const start = (
    application: string,
    databaseUrl: string,
    env: Record<string, string> = {},
  ): CommandRun & AsyncDisposable => {
    const run = runCommand(
      ['start', application],
      // A busy machine refuses some for their wait: that is no loss, and not what is asked here.
      { ...PRODUCTION, DATABASE_URL: databaseUrl, VAZAO_LIMITS: 'off', ...env },
      base,
    );
    return {
      ...run,
      async [Symbol.asyncDispose]() {
        run.child.kill('SIGKILL');
        await run.ended;
      },
    };
  };
  writeFileSync(join(base, '.env'), `VAZAO_SECRET=${'x'.repeat(40)}\nWORD=one\n`);

  test('SIGHUP brings the code, the migrations and the variables of now, and loses nothing', async (context) => {
    await using database = await createTestDatabase();
    const application = writeApplication(join(base, 'app'), undefined, undefined, ROUTES);
    await using run = start(application, database.url);
    const url = await run.url;
    const random = createRandom(context);
    await using started = new AsyncDisposableStack();
    const clients = ['/pid', '/cached'].map((path) =>
      started.use(
        startSteadyClients({ port: Number(new URL(url).port), path, ...CLIENTS, random: () => random.next() }),
      ),
    );
    const reload = async (): Promise<void> => {
      const before = await findWorkers(url, 2);
      const told = run.output.stderr.split(/reloaded in|given up/).length;
      run.child.kill('SIGHUP');
      await until(() => run.output.stderr.split(/reloaded in|given up/).length > told, 'the reload has ended');
      if (/given up/.test(run.output.stderr)) return;
      for (const pid of before) assert.equal(isAlive(pid), false, `worker ${pid} has left`);
    };
    const good = readFileSync(application, 'utf8');
    writeFileSync(
      application,
      good.replace('version: 1', "version: (await db.query('select max(n) from b')).rowCount + 1"),
    );
    writeFileSync(join(base, 'app/migrations/0002_more.sql'), 'create table b (n int);');
    writeFileSync(join(base, '.env'), `VAZAO_SECRET=${'x'.repeat(40)}\nWORD=two\n`);
    await reload();
    await reload();
    for (let asked = 0; asked < 6; asked++) {
      const { version, word } = JSON.parse((await ask(`${url}/pid`)).body);
      assert.deepEqual([version, word], [2, 'two']);
    }
    const answered = (one: SteadyResult): string => `${one.answered} answered on ${one.connections} connections`;

    const pids = await findWorkers(url, 2);
    writeFileSync(application, 'export default {{');
    await reload();
    assert.match(
      run.output.stderr,
      /The reload was given up: .*app\.ts failed while it was loaded.*Everything serves on as before\./,
    );
    assert.deepEqual((await findWorkers(url, 2)).sort(), pids.sort(), 'the old workers serve on');
    for (const client of clients) {
      const result = await client.stop();
      context.diagnostic(answered(result));
      assert.deepEqual([result.lost, result.refused], [[], 0]);
      assert.ok(result.answered > 0 && result.byPid.size >= 4, 'all workers have answered');
    }
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
  });

  for (const workers of [1, 2])
    test(`with limits, a reload of ${sayWorkers(workers)} loses nothing either, and counts go on where they were`, async (context) => {
      await using database = await createTestDatabase();
      writeFileSync(join(base, '.env'), `VAZAO_SECRET=${'x'.repeat(40)}\n`);
      const application = writeApplication(join(base, `limited-${workers}`), undefined, undefined, ROUTES);
      // Far more than is asked, except of the addresses of one client.
      await using run = start(application, database.url, {
        WORKERS: `${workers}`,
        VAZAO_LIMITS: 'on',
        VAZAO_LIMIT_ANONYMOUS: '100/1h',
      });
      const url = await run.url;
      const random = createRandom(context);
      await using clients = startSteadyClients({
        ...{ port: Number(new URL(url).port), path: '/pid', kept: 4, fresh: 2, thinkMaxMs: 10 },
        random: () => random.next(),
      });
      await until(() => clients.answered >= 50, 'half of the limit has been asked');
      for (let count = 1; count <= 2; count++) {
        run.child.kill('SIGHUP');
        await until(() => run.output.stderr.split('reloaded in').length > count, 'it has reloaded');
      }
      const result = await clients.stop();
      context.diagnostic(`${result.answered} answered, ${result.refused} refused`);
      assert.deepEqual(result.lost, []);
      // Where its supervisor is not heard within 50 ms, a worker allows its part of what it has not counted itself: a few, on a busy
      // machine. Counts that began anew would be a hundred more with each reload.
      assert.ok(result.answered < 150 && result.refused > 0, `${result.answered} answered, ${result.refused} refused`);
      run.child.kill('SIGTERM');
      assert.equal(await run.ended, 0, run.output.stderr);
    });

  test('what only a start can change is refused by a reload, and what a start refuses', async () => {
    await using database = await createTestDatabase();
    writeFileSync(join(base, '.env'), `VAZAO_SECRET=${'x'.repeat(40)}\n`);
    await using run = start(writeApplication(join(base, 'kept'), undefined, undefined, ROUTES), database.url);
    const url = await run.url;
    const pids = await findWorkers(url, 2);
    writeFileSync(join(base, '.env'), `VAZAO_SECRET=${'y'.repeat(40)}\n`);
    run.child.kill('SIGHUP');
    await until(() => /VAZAO_SECRET changed, which needs a stop and a start/.test(run.output.stderr), 'it is refused');
    writeFileSync(join(base, '.env'), `VAZAO_SECRET=${'x'.repeat(40)}\nVAZAO_METRICS_TOKEN=change-me-change-me\n`);
    run.child.kill('SIGHUP');
    await until(
      () => /VAZAO_METRICS_TOKEN is one that everybody/.test(run.output.stderr),
      'so is what a start refuses',
    );
    assert.deepEqual((await findWorkers(url, 2)).sort(), pids.sort());
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
  });

  for (const workers of [1, 2])
    test(`of ${sayWorkers(workers)} each is replaced after so many requests, and a kill loses only what the worker had`, async (context) => {
      await using database = await createTestDatabase();
      writeFileSync(join(base, '.env'), `VAZAO_SECRET=${'x'.repeat(40)}\n`);
      const application = writeApplication(join(base, `recycling-${workers}`), undefined, undefined, ROUTES);
      await using run = start(application, database.url, { WORKERS: `${workers}`, WORKER_REQUESTS_MAX: '100' });
      const url = await run.url;
      assert.match(run.output.stdout, new RegExp(`serves on ${url} with ${sayWorkers(workers)}$`, 'm'));
      const random = createRandom(context);
      const load = { port: Number(new URL(url).port), path: '/pid', ...CLIENTS, random: () => random.next() };
      await using recycling = startSteadyClients(load);
      const first = await findWorkers(url, workers);
      await until(() => first.every((pid) => !isAlive(pid)), 'all workers have been replaced');
      assert.deepEqual((await recycling.stop()).lost, []);

      await using killing = startSteadyClients(load);
      const dead = new Map<number, { readonly killedAtMs: number; readonly goneAtMs: number }>();
      for (let killed = 0; killed < 3; killed++) {
        const [victim = 0] = await findWorkers(url, workers);
        const killedAtMs = performance.now();
        process.kill(victim, 'SIGKILL');
        await until(() => !isAlive(victim), 'it is gone');
        dead.set(victim, { killedAtMs, goneAtMs: performance.now() });
      }
      await findWorkers(url, workers);
      const { lost } = await killing.stop();
      for (const { pid, sentAtMs, lostAtMs, why } of lost) {
        const wasUnderWay = [...dead.values()].some((one) => sentAtMs <= one.goneAtMs && lostAtMs >= one.killedAtMs);
        const wasItsOwn = wasUnderWay && (pid === undefined || dead.has(pid));
        assert.ok(wasItsOwn, `${why}, of ${pid} from ${sentAtMs} to ${lostAtMs}; deaths ${JSON.stringify([...dead])}`);
      }
      context.diagnostic(`${lost.length} lost by ${dead.size} kills`);
      run.child.kill('SIGTERM');
      assert.equal(await run.ended, 0, run.output.stderr);
    });
});
