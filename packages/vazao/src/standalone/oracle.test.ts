/**
 * Random reads and writes, by this process and by others, against what PostgreSQL says:
 *
 *   - a read shows whatever this process had written before it began;
 *   - no read shows less than one that had ended before it began;
 *   - one value is one moment: money is moved, and no value ever shows another sum;
 *   - in the end every value is PostgreSQL's.
 *
 * Every account carries a version that each change raises, so a value tells how old it is.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { FLUSHED_POSITION_SQL, parsePosition } from '../feed/index.ts';
import { createTestDatabase } from '../testing/database.ts';
import { createRandom } from '../testing/random.ts';
import { startTcpProxy } from '../testing/tcp-proxy.ts';
import { createTestCache } from '../testing/value-cache.ts';

const ACCOUNTS = 12;
const START = 100;
const READERS = 12;
const WRITERS = 2;
const SCHEMA = `create table contas (id int primary key, grupo int not null, saldo int not null, versao int not null);
  insert into contas select n, n % 3, ${START}, 0 from generate_series(1, ${ACCOUNTS}) n;`;
const TRANSFER = `update contas set versao = versao + 1, saldo = saldo + case id when $1 then -$3::int else $3::int end
  where id in ($1, $2) returning id, versao`;

interface Account {
  readonly id: number;
  readonly saldo: number;
  readonly versao: number;
}

test('values are as fresh as promised, and one moment each', (context) => readAndWrite(context, 3_000, 0, 'wal'));
test('also when changes arrive late', (context) => readAndWrite(context, 600, 10, 'wal'));
test('also when changes come by triggers', (context) => readAndWrite(context, 600, 0, 'outbox'));

async function readAndWrite(
  context: TestContext,
  reads: number,
  delayMs: number,
  source: 'wal' | 'outbox',
): Promise<void> {
  const random = createRandom(context);
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  await using cache = await createTestCache(database, SCHEMA, {
    feed: { source, connection: proxy.through(database.url) },
  });
  proxy.delay(delayMs);
  const { db } = cache;
  /** What a read that begins now must show at least. */
  const known = new Map<number, number>();
  const note = ({ id, versao }: Pick<Account, 'id' | 'versao'>): void => {
    known.set(id, Math.max(known.get(id) ?? 0, versao));
  };
  const assertKnown = (accounts: readonly Account[], least: ReadonlyMap<number, number>, what: string): void => {
    for (const { id, versao } of accounts) {
      assert.ok(
        versao >= (least.get(id) ?? 0),
        `${what}: account ${id} of version ${versao}, ${least.get(id)} was known`,
      );
      note({ id, versao });
    }
  };

  const computations = new Map<string, () => Promise<Account[]>>();
  const one = 'select id, saldo, versao from contas where id = $1';
  for (let id = 1; id <= ACCOUNTS; id++) computations.set(`conta ${id}`, async () => (await db.query(one, [id])).rows);
  const ofGroup = 'select id, saldo, versao from contas where grupo = $1 order by id';
  for (let group = 0; group < 3; group++) {
    computations.set(`grupo ${group}`, async () => (await db.query(ofGroup, [group])).rows);
  }
  computations.set('todas', async () => {
    const groups = [
      await db.query(ofGroup, [0]),
      ...(await Promise.all([db.query(ofGroup, [1]), db.query(ofGroup, [2])])),
    ];
    return groups.flatMap(({ rows }) => rows);
  });
  computations.set('aninhadas', async () => {
    const parts = [0, 1, 2].map((group) => cache.read(`grupo ${group}`, computations.get(`grupo ${group}`) as never));
    return ((await Promise.all(parts)) as Account[][]).flat();
  });
  const keys = [...computations.keys()];

  let left = reads;
  const read = async (): Promise<void> => {
    while (left-- > 0) {
      const key = random.pick(keys);
      const least = new Map(known);
      const accounts = await cache.read(key, computations.get(key) as () => Promise<Account[]>);
      assertKnown(accounts, least, key);
      await setImmediate(); // hits alone would let no change in
      if (accounts.length < ACCOUNTS) continue;
      const sum = accounts.reduce((all, { saldo }) => all + saldo, 0);
      assert.equal(sum, ACCOUNTS * START, `${key}: one moment`);
    }
  };
  let writes = 0;
  const write = async (): Promise<void> => {
    while (left > 0) {
      const from = random.integer(ACCOUNTS) + 1;
      const to = (from % ACCOUNTS) + 1;
      const isOwn = random.next() < 0.5;
      const { rows } = await (isOwn ? db : database.pool).query(TRANSFER, [from, to, random.integer(20)]);
      if (isOwn) for (const row of rows) note(row);
      writes++;
      await delay(random.integer(4));
    }
  };
  await Promise.all([...Array.from({ length: READERS }, read), ...Array.from({ length: WRITERS }, write)]);

  const { rows } = await database.pool.query(`select ${FLUSHED_POSITION_SQL} as position`);
  assert.ok(await cache.feed.waitFor(parsePosition(rows[0].position), 5_000), 'the feed passes the last commit');
  for (const [key, compute] of computations) {
    const value = await cache.read(key, compute);
    const truth = await compute();
    assert.deepEqual(value, truth, key);
  }
  const { stored, dropped } = cache.figures();
  context.diagnostic(`${reads} reads, ${writes} writes, ${stored} values stored, ${dropped} dropped`);
  assert.ok(stored > 0 && dropped > 0 && stored < reads, 'values were kept, used and dropped');
}
