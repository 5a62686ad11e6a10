/**
 * Random readers and writers against one host, and the guarantees of `docs/architecture.md`:
 *
 *   - no answer is older than what was committed, and told by the feed, when it was asked for;
 *   - whoever wrote through the application, or waited for the feed, sees it in the next read, and so does everybody else;
 *   - no reader goes back in time, whatever routes it reads;
 *   - one answer is one moment: money is moved between accounts, and no answer ever shows another sum.
 *
 * Every account carries a version that each change raises, so an answer tells how old it is.
 */
import assert from 'node:assert/strict';
import { Agent, request as httpRequest } from 'node:http';
import { type TestContext, test } from 'node:test';
import { createTestDatabase } from '../packages/vazao/src/testing/database.ts';
import { createForeignPool, createTestPlatform } from '../packages/vazao/src/testing/platform.ts';
import { createRandom } from '../packages/vazao/src/testing/random.ts';
import { startTcpProxy } from '../packages/vazao/src/testing/tcp-proxy.ts';

const READS = Number(process.env.VAZAO_FRESHNESS_READS ?? 100_000);
/** The second run has a feed that is slow, so that what must wait for it is seen to wait. */
const READS_SLOW = READS / 5;
const FEED_DELAY_MS = 15;
const READERS = 24;
const ACCOUNTS = 40;
const GROUPS = 8;
const START = 1_000;
const TOTAL = ACCOUNTS * START;

interface Account {
  readonly id: number;
  readonly saldo: number;
  readonly versao: number;
}

/** Rows are locked in one order, so that no two writers wait for each other. */
const lockedFirst = (condition: string, update: string): string =>
  `with locked as (select id from contas where ${condition} order by id for update)
   update contas set ${update} where id in (select id from locked)`;
const TRANSFER = lockedFirst(
  'id in ($1, $2)',
  'versao = versao + 1, saldo = saldo + case id when $1 then -$3::int else $3::int end',
);

test(`${READS} random reads are never older than promised`, { timeout: 600_000 }, (context) =>
  readAndWrite(context, READS, 0),
);

test(`nor are ${READS_SLOW} when changes arrive ${FEED_DELAY_MS} ms late`, { timeout: 600_000 }, (context) =>
  readAndWrite(context, READS_SLOW, FEED_DELAY_MS),
);

test(`nor are ${READS_SLOW} when changes come by triggers`, { timeout: 600_000 }, (context) =>
  readAndWrite(context, READS_SLOW, 0, 'outbox'),
);

async function readAndWrite(
  context: TestContext,
  readsWanted: number,
  feedDelayMs: number,
  source: 'wal' | 'outbox' = 'wal',
): Promise<void> {
  const random = createRandom(context);
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  await using platform = await createTestPlatform(database, {
    schema: `
      create table contas (id int primary key, grupo int not null, saldo int not null, versao int not null default 1);
      create index on contas (grupo);
      insert into contas select n, n % ${GROUPS}, ${START}, 1 from generate_series(0, ${ACCOUNTS - 1}) n;`,
    // Small enough that entries are evicted too.
    cacheBytes: 90_000,
    feed: { connection: proxy.through(database.url), source },
  });
  proxy.delay(feedDelayMs);
  const { app, db, feed } = platform;
  const foreign = createForeignPool(database);
  const cached = { config: { cache: true } } as const;

  app.get<{ Params: { id: string } }>(
    '/contas/:id',
    cached,
    async ({ params }) => (await db.query('select id, saldo, versao from contas where id = $1', [params.id])).rows,
  );
  app.get<{ Params: { grupo: string } }>(
    '/grupos/:grupo',
    cached,
    async ({ params }) =>
      (await db.query('select id, saldo, versao from contas where grupo = $1', [params.grupo])).rows,
  );
  app.get<{ Querystring: { ids: string } }>(
    '/algumas',
    cached,
    async ({ query }) =>
      (await db.query('select id, saldo, versao from contas where id = any($1)', [query.ids.split(',')])).rows,
  );
  app.get('/todas', cached, async () => {
    // Two statements, one moment: half of the accounts each.
    const low = await db.query('select id, saldo, versao from contas where id < $1', [ACCOUNTS / 2]);
    const high = await db.query('select id, saldo, versao from contas where id >= $1', [ACCOUNTS / 2]);
    return [...low.rows, ...high.rows];
  });
  app.post<{ Params: { from: string; to: string } }>('/transferir/:from/:to', async ({ params }) => {
    const client = await db.connect();
    try {
      await client.query('begin');
      await client.query(TRANSFER, [params.from, params.to, 1]);
      const { rows } = await client.query('select id, versao from contas where id = any($1)', [
        [params.from, params.to],
      ]);
      await client.query('commit');
      return rows;
    } finally {
      client.release();
    }
  });
  const origin = new URL(await platform.listen());
  const agent = new Agent({ keepAlive: true, maxSockets: READERS * 2 });
  const ask = (method: string, path: string): Promise<{ rows: Account[]; status: string }> =>
    new Promise((resolve, reject) => {
      const outgoing = httpRequest({ agent, host: origin.hostname, port: origin.port, method, path }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          body += chunk;
        });
        response.on('end', () => {
          if (response.statusCode !== 200) reject(new Error(`${path}: ${response.statusCode} ${body}`));
          else resolve({ rows: JSON.parse(body), status: String(response.headers['cache-status'] ?? '') });
        });
      });
      outgoing.on('error', reject);
      outgoing.end();
    });

  // By account: the versions that the feed has told of, and those whose commit has returned to its writer. The feed may tell
  // first, when no snapshot can see the commit yet; so only what is both must be seen by everybody who asks from then on.
  const told = new Array<number>(ACCOUNTS).fill(1);
  const returned = new Array<number>(ACCOUNTS).fill(1);
  const raise = (versions: number[], id: number, version: number): void => {
    if (version > (versions[id] as number)) versions[id] = version;
  };
  const promised = (): number[] => told.map((version, id) => Math.min(version, returned[id] as number));
  feed.on('commit', ({ changes }) => {
    for (const change of changes) {
      if (change.kind !== 'update') continue;
      const column = (name: string): number => Number(change.new[change.relation.columns.indexOf(name)]);
      raise(told, column('id'), column('versao'));
    }
  });

  let reads = 0;
  const outcomes = new Map<string, number>();
  const isDone = (): boolean => reads >= readsWanted;

  const reader = async (): Promise<void> => {
    const seen = new Array<number>(ACCOUNTS).fill(0);
    while (!isDone()) {
      const kind = random.integer(20);
      const path =
        kind === 0
          ? '/todas'
          : kind < 5
            ? `/grupos/${random.integer(GROUPS)}`
            : kind < 8
              ? `/algumas?ids=${random.integer(ACCOUNTS)},${random.integer(ACCOUNTS)}`
              : `/contas/${random.integer(ACCOUNTS)}`;
      const floor = promised();
      const { rows, status } = await ask('GET', path);
      reads++;
      const outcome = status.replace(/lag=[\d.]+ms/, 'lag');
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      for (const { id, versao } of rows) {
        assert.ok(
          versao >= (floor[id] as number),
          `${path} (${status}): account ${id} has version ${versao}, promised was ${floor[id]}`,
        );
        assert.ok(
          versao >= (seen[id] as number),
          `${path} (${status}): account ${id} has version ${versao}, this reader had seen ${seen[id]}`,
        );
        seen[id] = versao;
      }
      if (path === '/todas') {
        const sum = rows.reduce((total, { saldo }) => total + saldo, 0);
        assert.equal(sum, TOTAL, `one answer shows two moments: the accounts hold ${sum}`);
      }
    }
  };

  const pair = (): [number, number] => {
    const from = random.integer(ACCOUNTS);
    return [from, (from + 1 + random.integer(ACCOUNTS - 1)) % ACCOUNTS];
  };
  let writes = 0;
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, random.integer(8)));
  const ownWriter = async (): Promise<void> => {
    while (!isDone()) {
      const [from, to] = pair();
      const { rows } = await ask('POST', `/transferir/${from}/${to}`);
      for (const { id, versao } of rows) {
        raise(returned, id, versao);
        // The answer waited for the feed: everybody sees the write from here on. A feed that is silent is not waited for,
        // as on a machine that stands still for longer than the lease: then nothing is answered from the cache either.
        assert.ok(
          (told[id] as number) >= versao || !feed.isFresh(),
          `the write of account ${id} was answered before the feed had told of it`,
        );
      }
      writes++;
      await pause();
    }
  };
  const foreignWriter = async (): Promise<void> => {
    while (!isDone()) {
      if (random.integer(10) === 0) {
        const { rows } = await foreign.query(
          `${lockedFirst('grupo = $1', 'versao = versao + 1')} returning id, versao`,
          [random.integer(GROUPS)],
        );
        for (const { id, versao } of rows) raise(returned, id, versao);
      } else {
        const [from, to] = pair();
        const { rows } = await foreign.query(`${TRANSFER} returning id, versao`, [from, to, 1 + random.integer(5)]);
        for (const { id, versao } of rows) raise(returned, id, versao);
      }
      writes++;
      await pause();
    }
  };

  try {
    await Promise.all([
      ...Array.from({ length: READERS }, reader),
      ownWriter(),
      ownWriter(),
      foreignWriter(),
      foreignWriter(),
    ]);
  } finally {
    agent.destroy();
    await foreign.end();
  }
  const hits = [...outcomes]
    .filter(([outcome]) => outcome.includes('; hit'))
    .reduce((sum, [, count]) => sum + count, 0);
  context.diagnostic(
    `${reads} reads, ${((100 * hits) / reads).toFixed(1)} % hits, ${writes} writes, ${JSON.stringify(platform.cache.figures())}`,
  );
  for (const [outcome, count] of outcomes) context.diagnostic(`${count} × ${outcome}`);
  assert.ok(hits > reads / 10, 'the cache was at work');
}
