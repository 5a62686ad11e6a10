/** Without Next: `npm run guide:next` tries a real one. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { NotStored, ValueCache } from '../../standalone/index.ts';
import { until } from '../../testing/cached-app.ts';
import { createTestDatabase, type TestDatabase } from '../../testing/database.ts';
import { NEVER, readData, type Shown, showPage, type Told } from '../../testing/next-renderer.ts';
import { createTestCache } from '../../testing/value-cache.ts';
import { createCacheHandler, type NextCacheHandlerClass } from './index.ts';

const SCHEMA = `create table itens (id int primary key, nome text not null, preco int not null default 0);
  create table outros (id int primary key, nome text not null)`;

describe('what Next keeps', () => {
  let database: TestDatabase;
  let cache: ValueCache;
  let Handler: NextCacheHandlerClass;
  const notStored = new Map<string, NotStored>();

  before(async () => {
    database = await createTestDatabase();
    cache = await createTestCache(database, SCHEMA, { pool: { max: 4 }, valueMaxBytes: 10_000 });
  });
  beforeEach(async () => {
    await database.pool.query(
      `truncate itens, outros; insert into itens select n, 'item ' || n from generate_series(1, 20) n; insert into outros select n, 'outro ' || n from generate_series(1, 20) n`,
    );
    await settled();
    notStored.clear();
    Handler = createCacheHandler(cache, { onNotStored: (key, why) => notStored.set(key, why) });
  });
  afterEach(async () => {
    await until('every connection is back', () => cache.db.idleCount === cache.db.totalCount);
  });
  after(async () => {
    await cache.close();
    await database[Symbol.asyncDispose]();
  });

  /** The feed has told all that was committed. */
  async function settled(): Promise<void> {
    assert.ok(await cache.feed.waitFor(await cache.db.readPosition(), 60_000));
  }

  const write = async (sql: string): Promise<void> => {
    await database.pool.query(sql);
    await settled();
  };
  const nameOf = async (id: number, table = 'itens'): Promise<string> =>
    (await cache.db.query(`select nome from ${table} where id = $1`, [id])).rows[0].nome;

  let pages = 0;
  const newKey = (): string => `/page/${++pages}`;

  const page = (key: string, render: () => Promise<string>, told?: Told): Promise<Shown> =>
    showPage(Handler, key, render, told);
  const data = (key: string, compute: () => Promise<string>, tags?: readonly string[]): Promise<string> =>
    readData(Handler, key, compute, tags);

  async function kept(key: string, render: () => Promise<string>, told?: Told): Promise<void> {
    assert.equal((await page(key, render, told)).how, 'made');
    assert.equal(notStored.get(key), undefined);
    assert.equal((await page(key, render, told)).how, 'hit');
  }

  test('a page is kept until a row changes that it was made from, whoever changes it', async () => {
    const key = newKey();
    await kept(key, () => nameOf(1));
    await write("update itens set nome = 'x' where id = 2; update itens set preco = 5 where id = 1");
    assert.equal((await page(key, () => nameOf(1))).how, 'hit');
    await write("update itens set nome = 'um' where id = 1");
    assert.deepEqual(await page(key, () => nameOf(1)), { how: 'made', text: 'um' });
    assert.equal((await page(key, () => nameOf(1))).how, 'hit');
  });

  test('who writes through the pool sees it in the next answer', async () => {
    const key = newKey();
    for (let turns = 0; turns < 10; turns++) {
      await page(key, () => nameOf(1));
      await cache.db.query('update itens set nome = $1 where id = 1', [`n${turns}`]);
      assert.equal((await page(key, () => nameOf(1))).text, `n${turns}`);
    }
  });

  test('what became old while it was rendered is not kept', async () => {
    const key = newKey();
    const { text } = await page(key, async () => {
      const nome = await nameOf(1);
      await write("update itens set nome = 'novo' where id = 1");
      return nome;
    });
    assert.equal(text, 'item 1');
    assert.equal(notStored.get(key)?.code, 'changed');
    assert.deepEqual(await page(key, () => nameOf(1)), { how: 'made', text: 'novo' });
  });

  test('statements of several moments are kept if they would have said the same at one', async () => {
    const [mixed, same] = [newKey(), newKey()];
    const twice = (sql: string) => async (): Promise<string> => {
      const first = await nameOf(1);
      await write(sql);
      return `${first}, ${await nameOf(2)}`;
    };
    await page(mixed, twice("update itens set nome = nome || '!' where id in (1, 2)"));
    assert.equal(notStored.get(mixed)?.code, 'changed');
    await page(same, twice("update itens set nome = nome || '!' where id = 3"));
    assert.equal(notStored.get(same), undefined);
    await write("update itens set nome = 'dois' where id = 2");
    assert.equal((await page(same, () => nameOf(2))).text, 'dois');
  });

  test('what ends after its page, writes, or is not proven to read keeps it from being kept', async () => {
    const [late, writes, random, client] = [newKey(), newKey(), newKey(), newKey()];
    let running: Promise<unknown> | undefined;
    const locker = await database.client();
    await locker.query('begin; lock table itens');
    await page(late, async () => {
      running = nameOf(1);
      await turn(); // it has been sent
      return nameOf(2, 'outros');
    });
    assert.equal(notStored.get(late)?.code, 'unfinished');
    await locker.query('commit');
    await locker.end();
    await running;
    await page(writes, async () => {
      await cache.db.query('update itens set preco = preco + 1 where id = 1');
      return nameOf(1);
    });
    assert.equal(notStored.get(writes)?.code, 'write');
    await page(random, async () => String((await cache.db.query('select random(), nome from itens')).rowCount));
    assert.ok(notStored.has(random));
    await page(client, async () => {
      const held = await cache.db.connect();
      await held.query('begin');
      const { rows } = await held.query('select nome from itens where id = 1');
      await held.query('commit');
      held.release();
      return rows[0].nome;
    });
    assert.ok(notStored.has(client));
    for (const key of [late, writes, random, client]) assert.equal((await page(key, () => nameOf(1))).how, 'made');
  });

  test('what read nothing is kept as long as Next says', async () => {
    const key = newKey();
    await kept(key, async () => 'about');
    await write('delete from itens');
    assert.equal((await page(key, async () => 'other')).text, 'about');
  });

  test('pages that are rendered at the same time keep their reads apart', async () => {
    const keys = Array.from({ length: 8 }, newKey);
    const show = (at: number) => async (): Promise<string> => {
      const first = await nameOf(at + 1);
      await turn();
      return `${first}, ${await nameOf(at + 1, 'outros')}`;
    };
    await Promise.all(keys.map((key, at) => page(key, show(at))));
    await write("update itens set nome = 'x' where id = 3; update outros set nome = 'y' where id = 5");
    const how = await Promise.all(keys.map(async (key, at) => (await page(key, show(at))).how));
    assert.deepEqual(how, ['hit', 'hit', 'made', 'hit', 'made', 'hit', 'hit', 'hit']);
  });

  test('data that is kept by itself belongs to each page that asks for it', async () => {
    const [first, second, inner, other] = [newKey(), newKey(), newKey(), newKey()];
    let computed = 0;
    const show = async (): Promise<string> => {
      const [a, b] = await Promise.all([
        data(inner, () => {
          computed++;
          return nameOf(1);
        }),
        data(other, () => nameOf(2)),
      ]);
      return `${a}, ${b}, ${await nameOf(3)}`;
    };
    await kept(first, show);
    await kept(second, show);
    assert.equal(computed, 2); // each page reads its rows
    for (const id of [1, 2, 3]) {
      await write(`update itens set nome = nome || '!' where id = ${id}`);
      for (const key of [first, second]) assert.equal((await page(key, show)).how, 'made', `row ${id}`);
    }
    assert.equal((await page(first, show)).text, 'item 1!, item 2!, item 3!');
    await until('it is kept by itself', async () => (await data(inner, async () => 'again')) === 'item 1!');
    await write("update itens set nome = 'um' where id = 1");
    assert.equal(await data(inner, () => nameOf(1)), 'um');
  });

  test('what `fetch` brought is not fetched again because a row changed', async () => {
    const [key, inner] = [newKey(), newKey()];
    let fetched = 0;
    const show = async (): Promise<string> => {
      const text = await data(inner, async () => `fetched ${++fetched}`);
      return `${await nameOf(1)}, ${text}`;
    };
    await kept(key, show);
    await write("update itens set nome = 'um' where id = 1");
    assert.deepEqual(await page(key, show), { how: 'made', text: 'um, fetched 1' });
  });

  test('a context that leaks into the page around loses no statement', async () => {
    const key = newKey();
    const inner = newKey();
    await data(inner, async () => 'plain');
    const show = async (): Promise<string> => {
      // Called in the page's own turn: what it enters is the page's context from here on.
      const asked = new Handler().get(inner, { kind: 'FETCH', revalidate: false });
      const other = new Handler().get(newKey(), { kind: 'FETCH', revalidate: false });
      await Promise.all([asked, other]);
      return nameOf(1);
    };
    await kept(key, show);
    await write("update itens set nome = 'um' where id = 1");
    assert.equal((await page(key, show)).text, 'um');
  });

  test('reads of values within a page are read for the page', async () => {
    const key = newKey();
    const show = (): Promise<string> => cache.read(['nome', 1], () => nameOf(1));
    assert.equal(await show(), 'item 1');
    await kept(key, show);
    await write("update itens set nome = 'um' where id = 1");
    assert.equal((await page(key, show)).text, 'um');
  });

  test('within a read of a value, what is kept is read in its moment', async () => {
    const inner = newKey();
    const value = newKey();
    await data(inner, () => nameOf(1));
    const read = (): Promise<string> => cache.read(value, () => data(inner, () => nameOf(1)));
    assert.equal(await read(), 'item 1');
    await write("update itens set nome = 'um' where id = 1");
    assert.equal(await read(), 'um');
  });

  test('renders that fail leave no connection behind, and what was kept before as it was', async () => {
    const key = newKey();
    const broken = async (): Promise<string> => {
      await nameOf(2);
      throw new Error('broken');
    };
    for (let turns = 0; turns < 20; turns++) await assert.rejects(page(newKey(), broken), /broken/);
    await page(key, () => nameOf(1), { cacheControl: { revalidate: 0.01 } });
    await until('it is too old for Next', async () => (await page(key, broken)).how === 'stale');
    assert.deepEqual(await page(key, broken), { how: 'hit', text: 'item 1' });
    await write("update itens set nome = 'x' where id = 2");
    assert.equal((await page(key, broken)).how, 'hit');
    await write("update itens set nome = 'um' where id = 1");
    assert.equal((await page(key, () => nameOf(1))).text, 'um');
  });

  test('what is too old for Next is made again, and is kept again', async () => {
    const key = newKey();
    await page(key, () => nameOf(1), { cacheControl: { revalidate: 0.01 } });
    await until('it is too old', async () => (await page(key, async () => `again ${await nameOf(2)}`)).how === 'made');
    assert.deepEqual(await page(key, async () => 'no'), { how: 'hit', text: 'again item 2' });
    await write("update itens set nome = 'dois' where id = 2");
    assert.equal((await page(key, () => nameOf(2))).text, 'dois');
  });

  test('what depends on the time is kept where Next says for how long', async () => {
    const [without, limited] = [newKey(), newKey()];
    const show = async (): Promise<string> =>
      String((await cache.db.query("select now(), nome from itens where id = 1 and now() > '2020-01-01'")).rowCount);
    await page(without, show);
    assert.equal(notStored.get(without)?.code, 'time');
    await kept(limited, show, { cacheControl: { revalidate: 3_600 } });
  });

  test('what is set where its render is not known is not kept, and ends what was', async () => {
    const key = newKey();
    await kept(key, () => nameOf(1));
    await new Handler().set(key, { kind: 'APP_PAGE', html: 'from elsewhere' }, NEVER);
    assert.equal(notStored.get(key)?.code, 'untied');
    assert.equal((await page(key, () => nameOf(1))).how, 'made');
    const [around, inner] = [newKey(), newKey()];
    // As `unstable_cache` within another does: it sets without having asked.
    await kept(around, async () => {
      await new Handler().set(inner, { kind: 'FETCH', data: { body: await nameOf(1) } }, { fetchCache: true });
      return nameOf(2);
    });
    assert.equal(notStored.get(inner)?.code, 'untied');
    await write("update itens set nome = 'dois' where id = 2");
    assert.equal((await page(around, () => nameOf(2))).text, 'dois');
  });

  test('a page of which Next keeps that it does not exist', async () => {
    const key = newKey();
    const handler = new Handler();
    const find = async (): Promise<unknown> => {
      const found = await handler.get(key, { kind: 'PAGES' });
      if (found) return found.value;
      const { rows } = await cache.db.query('select nome from itens where id = 99');
      const made = rows.length === 0 ? null : { kind: 'PAGES', html: rows[0].nome };
      await handler.set(key, made, NEVER);
      return made;
    };
    assert.equal(await find(), null);
    assert.equal((await handler.get(key, { kind: 'PAGES' }))?.value, null);
    await write("insert into itens values (99, 'novo')");
    assert.deepEqual(await find(), { kind: 'PAGES', html: 'novo' });
  });

  test('tags that are revalidated end what has them, and what is being made with them', async () => {
    const [byHeader, byTag, byPath] = [newKey(), newKey(), newKey()];
    const told = { ...NEVER, headers: { 'x-next-cache-tags': 'a,_N_T_/x' } };
    await page(byHeader, () => nameOf(1), told);
    await data(byTag, () => nameOf(1), ['b']);
    await data(byPath, () => nameOf(1));
    const handler = new Handler();
    await handler.revalidateTag('other');
    assert.equal((await page(byHeader, () => nameOf(1), told)).how, 'hit');
    await handler.revalidateTag(['a', 'b']);
    await page(
      byHeader,
      async () => {
        const nome = await nameOf(1);
        await handler.revalidateTag('_N_T_/x');
        return nome;
      },
      told,
    );
    assert.equal(notStored.get(byHeader)?.code, 'revalidated');
    assert.equal((await page(byHeader, () => nameOf(1), told)).how, 'made');
    assert.equal((await page(byHeader, () => nameOf(1), told)).how, 'hit');
    assert.equal(await data(byTag, async () => 'again', ['b']), 'again');
    await handler.revalidateTag('_N_T_/page');
    assert.equal(await data(byPath, async () => 'again'), 'again');
  });

  test('nothing is kept of routes with Cache Components, nor of what is too large', async () => {
    const [partial, large] = [newKey(), newKey()];
    const told = { ...NEVER, isRoutePPREnabled: true };
    for (let turns = 0; turns < 2; turns++) assert.equal((await page(partial, () => nameOf(1), told)).how, 'made');
    assert.equal(notStored.get(partial)?.code, 'cache-components');
    await page(large, async () => (await nameOf(1)).repeat(2_000));
    assert.equal(notStored.get(large)?.code, 'too-large');
  });

  test('while a build runs nothing is kept', async () => {
    process.env.NEXT_PHASE = 'phase-production-build';
    try {
      const key = newKey();
      await page(key, () => nameOf(1));
      assert.equal((await page(key, () => nameOf(1))).how, 'made');
    } finally {
      delete process.env.NEXT_PHASE;
    }
  });
});
