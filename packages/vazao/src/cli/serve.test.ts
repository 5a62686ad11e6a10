import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type CommandRun, listProcesses, runCommand, writeApplication } from '../testing/cli.ts';
import { until } from '../testing/running-host.ts';

suite('vazao dev', { timeout: 480_000 }, () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao-serve-'));
  after(() => rmSync(base, { recursive: true, force: true }));
  const data = join(base, 'data');
  const application = writeApplication(join(base, 'little'));
  const start = (file = application, env: Record<string, string> = {}): CommandRun =>
    runCommand(['dev', file], { PORT: '0', VAZAO_DATA: data, ...env }, base);
  /** Until the request for /slow is in the middle of its statement. */
  const untilSleeping = async (): Promise<void> => {
    const client = new pg.Client(readFileSync(join(data, 'little/url'), 'utf8').trim());
    await client.connect();
    await until(async () => {
      const { rows } = await client.query(
        `select from pg_stat_activity where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()`,
      );
      return rows.length > 0;
    }, 'a request is under way');
    await client.end();
  };
  const stop = async (run: CommandRun, signal: NodeJS.Signals): Promise<void> => {
    run.child.kill(signal);
    assert.equal(await run.ended, 0, run.output.stderr);
    assert.deepEqual(listServers(data), []);
  };

  test('serves, explains, reports its health, and stops everything at each signal', async () => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      const run = start();
      const url = await run.url;
      assert.match(run.output.stdout, /curl -i 'http:\/\/127\.0\.0\.1:\d+\/count'/);
      assert.equal((await fetch(`${url}/count`)).status, 200);
      const health = (await (await fetch(`${url}/health`)).json()) as { status: string; feed: object };
      assert.equal(health.status, 'ok');
      assert.ok(!JSON.stringify(health).includes('public.a'), 'no names of tables');
      const explained = runCommand(['explain', `${url}/count`], {}, base);
      assert.equal(await explained.ended, 0, explained.output.stderr);
      assert.match(explained.output.stdout, /^\/count\b.*\n\n {2}cached, and exactly/);
      await stop(run, signal);
    }
  });

  test('keeps what was committed when it is killed, and goes on with the server that was left', async () => {
    const first = start();
    const url = await first.url;
    const before = await count(url);
    await fetch(`${url}/count`, { method: 'POST' });
    first.child.kill('SIGKILL');
    assert.equal(await first.ended, 'SIGKILL');
    const second = start();
    assert.equal(await count(await second.url), before + 1);
    await stop(second, 'SIGINT');
  });

  test('stops in time while a request hangs, and at once on the second signal', async (t) => {
    const first = start();
    fetch(`${await first.url}/slow`).catch(() => {}); // cut off
    await untilSleeping();
    await stop(first, 'SIGINT');

    const second = start();
    const url = await second.url;
    fetch(`${url}/slow`).catch(() => {}); // cut off
    await untilSleeping();
    const startedAt = performance.now();
    second.child.kill('SIGINT');
    await until(
      () =>
        fetch(url).then(
          () => false,
          () => true,
        ),
      'it has taken the first signal',
    );
    second.child.kill('SIGINT');
    assert.equal(await second.ended, 130);
    t.diagnostic(`gone ${(performance.now() - startedAt).toFixed(0)} ms after the first signal`);
    await untilNoServer(data);
  });

  test('a seed that is interrupted leaves nothing, and runs at the next start', async (t) => {
    const seed = `async seed(client, progress) {
      progress(0.1, 'rows');
      await client.query('insert into a values (1), (2)');
      if (process.env.SLOW) await client.query('select pg_sleep(60)');
    },`;
    const file = writeApplication(join(base, 'seeding'), seed);
    const folder = join(base, 'seeded');
    const first = start(file, { VAZAO_DATA: folder, SLOW: '1' });
    while (!/seeding: rows 10 %/.test(first.output.stderr)) await delay(20);
    const startedAt = performance.now();
    first.child.kill('SIGINT');
    assert.equal(await first.ended, 0, first.output.stderr);
    t.diagnostic(`stopped in ${(performance.now() - startedAt).toFixed(0)} ms`);
    const second = start(file, { VAZAO_DATA: folder });
    assert.equal(await count(await second.url), 2);
    second.child.kill('SIGINT');
    await second.ended;
    const third = start(file, { VAZAO_DATA: folder });
    assert.equal(await count(await third.url), 2, 'once');
    third.child.kill('SIGINT');
    await third.ended;
  });

  test('an error that nobody caught ends the process that serves, and another takes its place', async () => {
    const file = writeApplication(
      join(base, 'failing'),
      undefined,
      undefined,
      "app.get('/crash', async () => { setTimeout(() => { throw new Error('lost'); }); return {}; });",
    );
    const run = start(file);
    const url = await run.url;
    await fetch(`${url}/crash`);
    await until(() => /^vazao: worker \d+ ends: lost$/m.test(run.output.stderr), 'it is told');
    await until(async () => (await fetch(`${url}/count`).catch(() => undefined))?.status === 200, 'it answers');
    await stop(run, 'SIGINT');
  });

  test('the end of the database ends it with a sentence', async () => {
    const run = start();
    await run.url;
    const pid = Number(readFileSync(join(data, 'little/data/postmaster.pid'), 'utf8').split('\n')[0]);
    process.kill(pid, 'SIGKILL');
    assert.equal(await run.ended, 1);
    assert.match(run.output.stderr, /^vazao: PostgreSQL stopped by itself\. Committed data is safe/m);
  });

  test('secrets are for their owner alone, and stay the same', async () => {
    assert.equal(statSync(join(data, 'secret')).mode & 0o777, 0o600);
    assert.equal(statSync(join(data, 'little/url')).mode & 0o777, 0o600);
    const before = readFileSync(join(data, 'secret'), 'utf8');
    const run = start();
    await run.url;
    const url = readFileSync(join(data, 'little/url'), 'utf8').trim();
    assert.ok(!run.output.stdout.includes(new URL(url).password));
    await stop(run, 'SIGINT');
    assert.equal(readFileSync(join(data, 'secret'), 'utf8'), before);
  });

  test('the doctor and the explanation of a statement find the database running and stopped', async () => {
    const run = start();
    await run.url;
    for (const expected of [/little \(embedded, running\)/, /little \(embedded, started for this\)/]) {
      const doctor = runCommand(['doctor'], { VAZAO_DATA: data }, base);
      assert.equal(await doctor.ended, 0, doctor.output.stdout + doctor.output.stderr);
      assert.match(doctor.output.stdout, expected);
      assert.match(doctor.output.stdout, /The feed can run here/);
      const explained = runCommand(['explain', '--sql', 'select n from a'], { VAZAO_DATA: data }, base);
      assert.equal(await explained.ended, 0, explained.output.stdout + explained.output.stderr);
      assert.match(explained.output.stdout, expected);
      assert.match(explained.output.stdout, /public\.a: the whole table/);
      if (run.child.exitCode === null) await stop(run, 'SIGINT');
    }
    assert.deepEqual(listServers(data), []);
  });

  test('production serves without inventing data or explaining', async () => {
    const folder = join(base, 'production');
    const file = writeApplication(
      join(base, 'producing'),
      "seed: async (client) => { await client.query('insert into a values (1)'); },",
    );
    const env = { PORT: '0', VAZAO_DATA: folder, VAZAO_SECRET: 'x'.repeat(40), LOG_LEVEL: 'silent' };
    const run = runCommand(['start', file], env, base);
    const url = await run.url;
    assert.equal(await count(url), 0);
    assert.equal((await fetch(`${url}/.vazao/explain?url=/count`)).status, 404);
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0);
  });
});

async function count(url: string): Promise<number> {
  return ((await (await fetch(`${url}/count`)).json()) as { n: number }).n;
}

function listServers(folder: string): string[] {
  return listProcesses(`postgres -D ${folder}/`);
}

async function untilNoServer(folder: string): Promise<void> {
  await until(() => listServers(folder).length === 0, 'no server is left running');
}
