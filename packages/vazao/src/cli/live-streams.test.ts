/** Streams of events of a host that reloads, stops and starts: clients are told, come back, and miss nothing. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SHARES_PORT } from '../runtime/listen.ts';
import { type CommandRun, runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase } from '../testing/database.ts';
import { type EventClient, openEvents, type ServerEvent } from '../testing/event-client.ts';
import { ask, until } from '../testing/running-host.ts';

/** As a browser follows: it comes back with the last id, whatever ended the stream. */
class Follower implements AsyncDisposable {
  readonly counts: number[] = [];
  readonly ends: string[] = [];
  readonly #url: string;
  readonly #leaving = new AbortController();
  readonly #done: Promise<void>;
  #client: EventClient | undefined;
  #lastId = '';

  constructor(url: string) {
    this.#url = url;
    this.#done = this.#follow();
  }

  /** Its stream stands, and what has come of it was read. */
  get isConnected(): boolean {
    return this.#client?.isEnded === false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leaving.abort();
    this.#client?.[Symbol.dispose]();
    await this.#done;
  }

  async #follow(): Promise<void> {
    while (!this.#leaving.signal.aborted) {
      const headers: Record<string, string> = this.#lastId === '' ? {} : { 'last-event-id': this.#lastId };
      const client = await openEvents(this.#url, headers).catch(() => undefined);
      if (client?.status === 200) {
        this.#client = client;
        for (let read = 0; !client.isEnded || read < client.events.length; ) {
          if (read < client.events.length) this.#take(client.events[read++] as ServerEvent);
          else await delay(2);
        }
      }
      await delay(20);
    }
  }

  #take({ event, data, id }: ServerEvent): void {
    if (event === 'message') this.counts.push(JSON.parse(data).n);
    else this.ends.push(JSON.parse(data).reason);
    if (id !== '') this.#lastId = id;
  }
}

const skip = SHARES_PORT ? false : 'several workers on one port need Linux';
suite('streams of events', { timeout: 480_000, skip }, () => {
  const base = mkdtempSync(join(tmpdir(), 'vazao-live-'));
  writeFileSync(join(base, 'package.json'), '{ "workspaces": [] }');
  const runs: CommandRun[] = [];
  after(() => {
    // Only a test that failed leaves one; its workers end with it.
    for (const { child } of runs) child.kill('SIGKILL');
    rmSync(base, { recursive: true, force: true });
  });
  const start = (application: string, databaseUrl: string, env: Record<string, string> = {}): CommandRun => {
    const own = { NODE_ENV: 'production', VAZAO_SECRET: 'x'.repeat(40), PORT: '0', LOG_LEVEL: 'error' };
    const run = runCommand(['start', application], { ...own, WORKERS: '2', DATABASE_URL: databaseUrl, ...env }, base);
    runs.push(run);
    return run;
  };

  test('a reload, and a stop and a start, tell who follows to come back, who then misses nothing', async () => {
    await using database = await createTestDatabase();
    const application = writeApplication(join(base, 'app'));
    const run = start(application, database.url);
    const url = await run.url;
    await using started = new AsyncDisposableStack();
    const followers = Array.from({ length: 6 }, () => started.use(new Follower(`${url}/count`)));
    const show = (n: number) => () => followers.every(({ counts }) => counts.at(-1) === n);
    await until(show(0), 'all see the first state');

    let written = 0;
    let isReloaded = false;
    const writing = (async () => {
      while (!isReloaded) {
        const { status } = await ask(`${url}/count`, { method: 'POST' });
        assert.equal(status, 200);
        written++;
      }
    })();
    run.child.kill('SIGHUP');
    await until(() => /reloaded in/.test(run.output.stderr), 'the reload has ended');
    isReloaded = true;
    await writing;
    await until(show(written), 'all see the last state');
    for (const { ends } of followers)
      assert.ok(ends.length > 0 && ends.every((why) => why === 'restart'), String(ends));

    const before = followers.map(({ ends }) => ends.length);
    await until(() => followers.every(({ isConnected }) => isConnected), 'all follow again');
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
    await until(() => followers.every(({ ends }, at) => ends.length > (before[at] ?? 0)), 'all were told of the stop');
    await database.pool.query('insert into a values (1)');
    written++;
    const again = start(application, database.url, { PORT: new URL(url).port });
    await again.url;
    await until(show(written), 'all see what was written while nobody served');
    for (const { counts } of followers) {
      assert.deepEqual(
        counts,
        [...new Set(counts)].sort((a, b) => a - b),
        'nothing comes twice, and nothing older after it',
      );
    }
    again.child.kill('SIGTERM');
    assert.equal(await again.ended, 0, again.output.stderr);
  });

  test('what the application says of streams and of refreshing holds, and of streams the environment goes before', async () => {
    await using database = await createTestDatabase();
    const options = 'live: { perAddressMax: 1, heartbeatMs: 50 }, refresh: false';
    const run = start(
      writeApplication(
        join(base, 'bounded'),
        options,
        undefined,
        "app.get('/refresh', async () => ({ is: app.refresh !== undefined }));",
      ),
      database.url,
      { WORKERS: '1', VAZAO_LIVE_PER_ADDRESS: '2' },
    );
    const url = await run.url;
    using first = await openEvents(`${url}/count`);
    using second = await openEvents(`${url}/count`);
    using third = await openEvents(`${url}/count`);
    assert.deepEqual(
      [first, second, third].map(({ status }) => status),
      [200, 200, 429],
    );
    await first.until('two heartbeats', () => first.comments >= 2);
    assert.deepEqual(JSON.parse((await ask(`${url}/refresh`)).body), { is: false });
    run.child.kill('SIGTERM');
    assert.equal(await run.ended, 0, run.output.stderr);
  });
});
