/** What `MEMORY_LIMIT` promises, as `/proc` tells it: of all processes together, while their caches are full and overrun. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createProcessSampler } from '../lab/server/processes.ts';
import { SHARES_PORT } from '../runtime/listen.ts';
import { runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase } from '../testing/database.ts';
import { createRandom } from '../testing/random.ts';
import { ask, findWorkers } from '../testing/running-host.ts';

const LIMIT_MB = 400;
const PAGES = 20_000;
/** Several times what the caches hold. */
const REQUESTS = 15_000;
const CLIENTS = 32;
const TABLES = `create table pages (id int primary key, text text not null);
insert into pages select n, repeat(md5(n::text), 1 + n % 200) from generate_series(1, ${PAGES}) n;`;
const ROUTES = `
    app.get('/pages/:id', { config: { cache: true } }, async ({ params }) =>
      (await db.query('select id, text from pages where id = $1', [Number(params.id)])).rows[0]);`;

const base = mkdtempSync(join(tmpdir(), 'vazao-memory-'));
after(() => rmSync(base, { recursive: true, force: true }));

const skip = SHARES_PORT ? false : 'PSS is told by Linux alone';
test('processes whose caches are overrun stay within MEMORY_LIMIT, and none is replaced', { skip }, async (context) => {
  await using database = await createTestDatabase();
  const random = createRandom(context);
  writeFileSync(join(base, 'package.json'), '{ "workspaces": [] }');
  const application = writeApplication(join(base, 'app'), undefined, TABLES, ROUTES);
  const run = runCommand(
    ['start', application],
    {
      NODE_ENV: 'production',
      VAZAO_SECRET: 'x'.repeat(40),
      PORT: '0',
      WORKERS: '2',
      MEMORY_LIMIT: `${LIMIT_MB}MB`,
      DATABASE_URL: database.url,
      LOG_LEVEL: 'error',
    },
    base,
  );
  await using ending = new AsyncDisposableStack();
  ending.defer(async () => {
    run.child.kill('SIGKILL');
    await run.ended;
  });
  const url = await run.url;
  const workers = await findWorkers(url, 2);
  const sampler = createProcessSampler(run.child.pid ?? 0);
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  ending.defer(() => agent.destroy());
  const statuses = new Map<number, number>();
  let largestMb = 0;
  let asked = 0;
  const client = async (): Promise<void> => {
    while (asked < REQUESTS) {
      if (asked++ % 200 === 0) {
        const { rssBytes, processes } = sampler.sample(0);
        assert.equal(processes, 3, 'a supervisor and two workers');
        largestMb = Math.max(largestMb, (rssBytes ?? Number.NaN) / 1024 ** 2);
      }
      const { status } = await ask(`${url}/pages/${1 + Math.floor(random.next() * PAGES)}`, { agent });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  context.diagnostic(`${largestMb.toFixed(0)} of ${LIMIT_MB} MB at most; answers: ${JSON.stringify([...statuses])}`);
  assert.ok(largestMb <= LIMIT_MB, `${largestMb} MB`);
  // A machine that others keep busy refuses some; nothing else may happen to a request.
  assert.deepEqual(
    [...statuses.keys()].filter((status) => status !== 503),
    [200],
  );
  assert.deepEqual((await findWorkers(url, 2)).toSorted(), workers.toSorted());
});
