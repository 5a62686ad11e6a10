import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { trackWrites } from '../db/index.ts';
import { soon, until } from '../testing/cached-app.ts';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { startTcpProxy } from '../testing/tcp-proxy.ts';
import { createTestCache } from '../testing/value-cache.ts';
import { createCache, type Key, type ValueCache } from './index.ts';

const SCHEMA = `create table itens (id int primary key, nome text not null, feito timestamptz not null default '2026-01-02 03:04:05.678Z', foto bytea not null default '\\x010203');
  insert into itens select n, 'item ' || n from generate_series(1, 20) n;`;

let database: TestDatabase;
let cache: ValueCache;
const problems: Error[] = [];

describe('reads by key', () => {
  before(async () => {
    database = await createTestDatabase();
    cache = await createTestCache(database, SCHEMA, {
      valueMaxBytes: 10_000,
      fillMaxMs: 5_000,
      onProblem: (problem) => problems.push(problem),
    });
  });
  after(async () => {
    await cache.close();
    await database[Symbol.asyncDispose]();
  });

  const sql = 'select * from itens where id = $1';
  const nameOf = async (id: number): Promise<string> => (await cache.db.query(sql, [id])).rows[0].nome;

  test('a read of another database is answered by that one, and keeps what it is a part of from being kept', async () => {
    await using other = await createTestDatabase();
    await using second = await createTestCache(other, SCHEMA);
    await other.pool.query("update itens set nome = 'other' where id = 1");
    const read = (): Promise<string[]> =>
      cache.read('two databases', async () => {
        const { rows } = await second.db.query(sql, [1]);
        return [rows[0].nome, await second.read('nome', async () => (await second.db.query(sql, [1])).rows[0].nome)];
      });
    assert.deepEqual(await read(), ['other', 'other']);
    assert.equal(cache.explain('two databases').notStored?.code, 'other-pool');
    await other.pool.query("update itens set nome = 'newer' where id = 1");
    assert.equal((await read())[0], 'newer');
  });

  /** Counts how often it was computed. */
  function counted<T>(compute: () => Promise<T> | T): { (): Promise<T>; times: number } {
    const count = Object.assign(
      async () => {
        count.times++;
        return compute();
      },
      { times: 0 },
    );
    return count;
  }

  test('a value is computed once, and again after a row behind it has changed, by whomever', async () => {
    const compute = counted(() => nameOf(1));
    assert.equal(await cache.read(['nome', 1], compute), 'item 1');
    assert.equal(await cache.read(['nome', 1], compute), 'item 1');
    assert.equal(compute.times, 1);
    await database.pool.query("update itens set nome = 'outro' where id = 2");
    await database.pool.query("update itens set nome = 'um' where id = 1");
    await until('the change ends the value', async () => (await cache.read(['nome', 1], compute)) === 'um');
    assert.equal(compute.times, 2);
    const { state, lastDrop, statements } = cache.explain(['nome', 1]);
    assert.equal(state, 'fresh');
    assert.deepEqual([lastDrop?.reason, lastDrop?.table, lastDrop?.row?.id], ['change', 'public.itens', '1']);
    assert.deepEqual([statements[0]?.text, statements[0]?.terms[0]?.grain], [sql, 'row']);
  });

  test('what this process has written is seen by the next read, in whatever way it was written', async () => {
    const compute = counted(() => nameOf(3));
    const read = (): Promise<string> => cache.read(['nome', 3], compute);
    for (let round = 0; round < 10; round++) {
      await read();
      await cache.db.query('update itens set nome = $1 where id = 3', [`a${round}`]);
      assert.equal(await read(), `a${round}`);
      const client = await cache.db.connect();
      await client.query('begin');
      await client.query('update itens set nome = $1 where id = 3', [`b${round}`]);
      assert.equal(await read(), `a${round}`);
      await client.query('commit');
      client.release();
      assert.equal(await read(), `b${round}`);
      await new Promise<void>((done, fail) => {
        cache.db.query('update itens set nome = $1 where id = 3', [`c${round}`], (error) =>
          error ? fail(error) : done(),
        );
      });
      assert.equal(await read(), `c${round}`);
    }
  });

  test('a position carries what was written elsewhere', async () => {
    await using other = await createCache({ connectionString: database.url });
    await cache.read(['nome', 4], () => nameOf(4));
    const { position } = await trackWrites(() => other.db.query("update itens set nome = 'de outro' where id = 4"));
    assert.equal(await cache.read(['nome', 4], () => nameOf(4), { after: position }), 'de outro');
  });

  test('many who ask at once share one computation, and what it throws', async () => {
    const opened = Promise.withResolvers<void>();
    const compute = counted(async () => {
      await opened.promise;
      return nameOf(5);
    });
    const reads = Array.from({ length: 50 }, () => cache.read('many', compute));
    opened.resolve();
    assert.deepEqual(new Set(await Promise.all(reads)), new Set(['item 5']));
    assert.equal(compute.times, 1);

    const failed = counted(async () => {
      await delay(1);
      throw new RangeError('no');
    });
    const failures = await Promise.allSettled(Array.from({ length: 50 }, () => cache.read('failing', failed)));
    assert.ok(failures.every((outcome) => outcome.status === 'rejected' && outcome.reason instanceof RangeError));
    assert.equal(failed.times, 1);
    await assert.rejects(cache.read('failing', failed), RangeError);
    assert.equal(failed.times, 2, 'an error is not kept');
    assert.equal(await cache.read('failing', () => nameOf(5)), 'item 5');
  });

  test('an error of before a write is not for who has written', async () => {
    const opened = Promise.withResolvers<void>();
    const hasRead = Promise.withResolvers<void>();
    const find = async (): Promise<string> => {
      const { rows } = await cache.db.query(sql, [100]);
      hasRead.resolve();
      await opened.promise;
      if (rows.length === 0) throw new Error('not found');
      return rows[0].nome;
    };
    const early = cache.read('row 100', find);
    await hasRead.promise;
    await cache.db.query("insert into itens values (100, 'cem')");
    const late = cache.read('row 100', find);
    opened.resolve();
    await assert.rejects(early, /not found/);
    assert.equal(await late, 'cem');
  });

  test('a statement that fails, fails as without a cache', async () => {
    await assert.rejects(
      cache.read('syntax', () => cache.db.query('selec 1')),
      { code: '42601' },
    );
  });

  test('every reader gets a copy, with Dates and Buffers in it', async () => {
    type Row = { nome: string; feito: Date; foto: Buffer };
    const compute = counted(async () => (await cache.db.query(sql, [6])).rows as Row[]);
    const truth = (await database.pool.query(sql, [6])).rows;
    for (let round = 0; round < 3; round++) {
      const rows = (await cache.read('rows', compute)) as Row[];
      assert.deepEqual(rows, truth);
      const [row] = rows as [Row];
      assert.ok(row.feito instanceof Date && Buffer.isBuffer(row.foto));
      row.nome = 'spoilt';
      row.feito.setTime(0);
      row.foto.fill(0);
      rows.length = 0;
    }
    assert.equal(compute.times, 1);
  });

  test('what can’t be kept is given as it is, and said', async () => {
    class Money {
      readonly cents = 5;
    }
    const compute = counted(async () => ({ id: (await cache.db.query(sql, [7])).rows[0].id, price: [new Money()] }));
    for (let round = 1; round <= 2; round++) {
      const value = await cache.read('money', compute);
      assert.ok(value.price[0] instanceof Money);
      assert.equal(compute.times, round);
    }
    assert.equal(problems.length, 1);
    assert.match(problems[0]?.message ?? '', /`value\.price\[0\]` is of the class Money/);
    assert.equal(cache.explain('money').notStored?.code, 'value');

    const whole = await cache.read('result', () => cache.db.query(sql, [7]));
    assert.equal(whole.rows.length, 1);
    assert.match(problems[1]?.message ?? '', /is of the class Result/);
    const large = counted(async () => `${await nameOf(7)}${'x'.repeat(20_000)}`);
    assert.equal(await cache.read('large', large), await cache.read('large', large));
    assert.equal(cache.explain('large').notStored?.code, 'too-large');
  });

  for (const [what, code, compute] of [
    ['reads nothing', 'no-statement', async () => 1],
    ['depends on the time', 'time', async () => (await cache.db.query('select now() as t')).rows],
    [
      'writes',
      'write',
      async () => (await cache.db.query("update itens set nome = 'w' where id = 9 returning id")).rows,
    ],
    [
      'reads what nobody tells of',
      'volatile-function',
      async () => (await cache.db.query('select random() as r')).rows,
    ],
  ] as const) {
    test(`what ${what} is not kept: ${code}`, async () => {
      const count = counted<unknown>(compute);
      await cache.read(code, count);
      await cache.read(code, count);
      assert.equal(count.times, 2);
      assert.equal(cache.explain(code).notStored?.code, code);
    });
  }

  test('a time to live ends a value that nothing else ends', async () => {
    const compute = counted(async () => (await cache.db.query('select now()::text as t')).rows[0].t as string);
    const first = await cache.read('clock', compute, { ttl: '2s' });
    assert.equal(await cache.read('clock', compute, { ttl: '2s' }), first);
    await until('it expires', async () => (await cache.read('clock', compute, { ttl: '2s' })) !== first);
  });

  test('staleFor: while the next is computed the last is given, but to nobody who has written', async () => {
    const opened = Promise.withResolvers<void>();
    let isSlow = false;
    const compute = async (): Promise<string> => {
      const name = await nameOf(10);
      if (isSlow) await opened.promise;
      return name;
    };
    const read = (options = {}): Promise<string> => cache.read('stale', compute, { staleFor: '1m', ...options });
    assert.equal(await read(), 'item 10');
    isSlow = true;
    await database.pool.query("update itens set nome = 'novo' where id = 10");
    await until('it is dropped', () => cache.explain('stale').state === 'stale');
    const first = read();
    assert.equal(await soon(read()), 'item 10');
    const needy = read({ after: cache.feed.position });
    opened.resolve();
    assert.equal(await first, 'novo');
    assert.equal(await needy, 'novo');
  });

  test('staleIfError: when the computation throws the last is given', async () => {
    let isBroken = false;
    const compute = async (): Promise<string> => {
      const name = await nameOf(11);
      if (isBroken) throw new Error('broken');
      return name;
    };
    await cache.read('kind', compute, { staleIfError: '1m' });
    isBroken = true;
    await database.pool.query("update itens set nome = 'onze' where id = 11");
    await until('it is dropped', () => cache.explain('kind').state === 'stale');
    assert.equal(await cache.read('kind', compute, { staleIfError: '1m' }), 'item 11');
    await assert.rejects(cache.read('kind', compute), /broken/);
  });

  test('a read within a read is a part of it: what ends the inner ends the outer', async () => {
    const inner = (): Promise<string> => cache.read(['inner'], () => nameOf(12));
    const outer = counted(async () => [await nameOf(13), await inner()]);
    assert.deepEqual(await cache.read('outer', outer), ['item 13', 'item 12']);
    await cache.db.query("update itens set nome = 'doze' where id = 12");
    assert.deepEqual(await cache.read('outer', outer), ['item 13', 'doze']);
    assert.equal(outer.times, 2);
  });

  test('different keys are different, however they are written', async () => {
    const keys: Key[] = [
      'a',
      ['a'],
      ['a', 1],
      ['a', '1'],
      ['a', 1n],
      ['a', null],
      ['a', undefined],
      ['a', 'null'],
      ['a', true],
      ['a,1'],
      ['a', '1', ''],
      ['a', ''],
      '["a",1]',
      'x'.repeat(300),
      'x'.repeat(301),
    ];
    for (const [at, key] of keys.entries()) {
      assert.equal(await cache.read(key, async () => `${(await nameOf(14)).length}-${at}`), `7-${at}`);
    }
    for (const [at, key] of keys.entries()) assert.equal(await cache.read(key, () => assert.fail()), `7-${at}`);
    for (const key of [[], [{}], [['a']], [Symbol.iterator], 5]) {
      await assert.rejects(
        cache.read(key as never, () => 1),
        { code: 'ERR_CACHE_KEY' },
      );
    }
    await assert.rejects(
      cache.read('a', () => 1, { ttl: '1 hour' as never }),
      { code: 'ERR_CACHE_OPTIONS' },
    );
    await assert.rejects(
      cache.read('a', () => 1, { tags: [] } as never),
      { code: 'ERR_CACHE_OPTIONS' },
    );
  });

  test('a value can be dropped by hand', async () => {
    const compute = counted(() => nameOf(15));
    await cache.read('purge', compute);
    assert.equal(cache.purge('purge'), true);
    assert.equal(cache.purge('purge'), false);
    await cache.read('purge', compute);
    assert.equal(compute.times, 2);
  });

  test('with the codec json a Date is a text, for whoever computes it too', async () => {
    await using other = await createCache({ connectionString: database.url, codec: 'json' });
    const compute = async (): Promise<unknown> => (await other.db.query('select feito from itens where id = 16')).rows;
    for (let round = 0; round < 2; round++)
      assert.deepEqual(await other.read('json', compute), [{ feito: '2026-01-02T03:04:05.678Z' }]);
  });

  test('while the feed is away nothing is given from memory; closed, nothing at all', async () => {
    await using proxy = await startTcpProxy(database.url);
    const other = await createCache({
      connectionString: database.url,
      feed: { connection: proxy.through(database.url) },
      onProblem: () => {},
    });
    const compute = counted(async () => (await other.db.query(sql, [17])).rows[0].nome as string);
    await until('it is kept', async () => {
      await other.read('away', compute);
      return other.explain('away').state === 'fresh';
    });
    proxy.cut();
    await until('the feed is not fresh', () => !other.feed.isFresh());
    await database.pool.query("update itens set nome = 'sem feed' where id = 17");
    assert.equal(await other.read('away', compute), 'sem feed');
    await other.db.query("update itens set nome = 'ainda' where id = 17");
    assert.equal(await other.read('away', compute), 'ainda');
    await other.close();
    await assert.rejects(other.read('away', compute), { code: 'ERR_CACHE_CLOSED' });
  });
});
