/**
 * Random pages, data within pages, and writes by this process and by others, against what PostgreSQL says:
 *
 *   - a page shows whatever this process had written before it was asked for, and no less than one that had ended before;
 *   - a page that is kept is one moment: money is moved, and no hit ever shows another sum;
 *   - in the end every page is PostgreSQL's.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createTestDatabase } from '../../testing/database.ts';
import { readData, showPage } from '../../testing/next-renderer.ts';
import { createRandom } from '../../testing/random.ts';
import { startTcpProxy } from '../../testing/tcp-proxy.ts';
import { createTestCache } from '../../testing/value-cache.ts';
import { createCacheHandler } from './index.ts';

const ACCOUNTS = 9;
const GROUPS = 3;
const START = 100;
const READERS = 8;
const SCHEMA = `create table contas (id int primary key, grupo int not null, saldo int not null, versao int not null);
  insert into contas select n, n % ${GROUPS}, ${START}, 0 from generate_series(1, ${ACCOUNTS}) n;`;
const TRANSFER = `update contas set versao = versao + 1, saldo = saldo + case id when $1 then -$3::int else $3::int end
  where id in ($1, $2) returning id, versao`;
const OF_GROUP = 'select id, saldo, versao from contas where grupo = $1 order by id';

interface Account {
  readonly id: number;
  readonly saldo: number;
  readonly versao: number;
}

test('pages are as fresh as promised, and those that are kept are one moment each', (context) =>
  showAndWrite(context, 1_500, 0));
test('also when changes arrive late', (context) => showAndWrite(context, 300, 10));

async function showAndWrite(context: TestContext, reads: number, delayMs: number): Promise<void> {
  const random = createRandom(context);
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  await using cache = await createTestCache(database, SCHEMA, {
    feed: { connection: proxy.through(database.url) },
  });
  proxy.delay(delayMs);
  const { db } = cache;
  const reasons = new Map<string, number>();
  const Handler = createCacheHandler(cache, {
    onNotStored: (_, { code }) => reasons.set(code, (reasons.get(code) ?? 0) + 1),
  });
  /** What a page that is asked for now must show at least. */
  const known = new Map<number, number>();
  const note = ({ id, versao }: Pick<Account, 'id' | 'versao'>): void => {
    known.set(id, Math.max(known.get(id) ?? 0, versao));
  };

  const group = async (at: number): Promise<Account[]> => (await db.query(OF_GROUP, [at])).rows;
  const dataOf = async (at: number): Promise<Account[]> =>
    JSON.parse(await readData(Handler, `data ${at}`, async () => JSON.stringify(await group(at))));
  const all = Array.from({ length: GROUPS }, (_, at) => at);
  const parts: Readonly<Record<string, () => Promise<Account[][]>>> = {
    '/one': async () => [await group(0)],
    '/together': () => Promise.all(all.map(group)),
    '/each': async () => {
      const groups: Account[][] = [];
      for (const at of all) groups.push(await group(at));
      return groups;
    },
    '/data': () => Promise.all(all.map(dataOf)),
    '/value': async () => [await cache.read('0', () => group(0)), await group(1), await dataOf(2)],
  };
  const paths = Object.keys(parts);
  const render = (path: string) => async (): Promise<string> => JSON.stringify((await parts[path]?.())?.flat());

  let left = reads;
  let hits = 0;
  const read = async (): Promise<void> => {
    while (left-- > 0) {
      const path = random.pick(paths);
      const least = new Map(known);
      const { how, text } = await showPage(Handler, path, render(path));
      const accounts = JSON.parse(text) as Account[];
      for (const account of accounts) {
        const needed = least.get(account.id) ?? 0;
        assert.ok(account.versao >= needed, `${path} (${how}): ${JSON.stringify(account)}, ${needed} was known`);
        note(account);
      }
      if (how !== 'hit') continue;
      hits++;
      if (accounts.length < ACCOUNTS) continue;
      const sum = accounts.reduce((total, { saldo }) => total + saldo, 0);
      assert.equal(sum, ACCOUNTS * START, `${path}: one moment`);
    }
  };
  const write = async (): Promise<void> => {
    while (left > 0) {
      const from = random.integer(ACCOUNTS) + 1;
      const isOwn = random.next() < 0.5;
      const words = [from, (from % ACCOUNTS) + 1, random.integer(20)];
      const { rows } = await (isOwn ? db : database.pool).query(TRANSFER, words);
      if (isOwn) for (const row of rows) note(row);
      await delay(random.integer(30));
    }
  };
  await Promise.all([...Array.from({ length: READERS }, read), write()]);

  assert.ok(await cache.feed.waitFor(await db.readPosition(), 60_000), 'the feed passes the last commit');
  for (const path of paths) {
    const { text } = await showPage(Handler, path, render(path));
    const { rows } = await database.pool.query('select id, saldo, versao from contas');
    const truth = new Map((rows as Account[]).map((account) => [account.id, account]));
    for (const account of JSON.parse(text) as Account[]) assert.deepEqual(account, truth.get(account.id), path);
  }
  const { stored, dropped } = cache.figures();
  const why = JSON.stringify(Object.fromEntries(reasons));
  context.diagnostic(`${hits} hits, ${stored} stored, ${dropped} dropped, not stored: ${why}`);
  assert.ok(hits > 0 && stored > 0 && dropped > 0 && (reads < 1_000 || reasons.has('changed')), 'all of it happened');
}
