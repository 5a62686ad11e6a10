import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { ReadSnapshot, Snapshot } from '../feed/index.ts';
import type { Catalog, Change, Relation, Term } from '../readset/index.ts';
import { FakeFeed } from '../testing/fake-feed.ts';
import { Cache, type Fill } from './index.ts';

type Table = Catalog['tables'][number];

const table = {
  oid: 1,
  schema: 'public',
  name: 't',
  columns: [],
  uniqueKeys: [['id']],
  ancestors: [],
} as unknown as Table;
const relation: Relation = { oid: 1, schema: 'public', name: 't', columns: ['id', 'v'] };

function rowTerm(id: number): Term {
  const values = [String(id)];
  return {
    table,
    columns: 'all',
    predicates: [{ kind: 'in', column: 'id', type: 'int4', values: new Set(values) }],
    grain: 'row',
    coarse: undefined,
    indexBy: { column: 'id', type: 'int4', values },
  };
}

const update = (id: number, v = 'new'): Change => ({
  kind: 'update',
  relation,
  old: [String(id), 'old'],
  new: [String(id), v],
});
/** Sees all below `xmax` but those that run. */
const snapshot = (xmax: number, ...running: number[]): Snapshot => ({
  xmin: BigInt(Math.min(xmax, ...running)),
  xmax: BigInt(xmax),
  running: new Set(running.map(BigInt)),
});

describe('a cache', () => {
  let feed: FakeFeed;
  let cache: Cache<string>;
  let nowMs = 0;

  beforeEach(() => {
    feed = new FakeFeed();
    nowMs = 1_000;
    cache = new Cache<string>({ feed, now: () => nowMs, recentCommitsMax: 5 });
    cache.setLineage((oid) => [oid]);
  });

  const lead = (key: string): Fill<string> => {
    const joined = cache.join(key);
    assert.ok(joined.role === 'leader', 'nobody else fills');
    return joined.fill;
  };
  const begin = (key: string, seen: Snapshot, terms: Term[] = [rowTerm(1)], usesTime = false): Fill<string> => {
    const fill = lead(key);
    fill.open();
    fill.read({ text: 'select', terms, refusal: undefined, durationMs: 0, rows: 1 }, usesTime);
    fill.begin(seen, 0n);
    return fill;
  };
  const end = (fill: Fill<string>, more: { ttlMs?: number; staleForMs?: number; key?: string } = {}): string => {
    const done = cache.complete(fill, { key: fill.key, value: `value of ${fill.key}`, valueBytes: 100, ...more });
    return done.stored ? 'stored' : done.why.code;
  };
  const store = (key: string, id = 1, more: { ttlMs?: number; staleForMs?: number } = {}): void =>
    assert.equal(end(begin(key, snapshot(100), [rowTerm(id)]), more), 'stored');
  /** What a waiter got: the value, or the word to look again. */
  const settled = async (key: string): Promise<() => string> => {
    const joined = cache.join(key);
    assert.ok(joined.role === 'waiter');
    let got = 'nothing';
    void joined.outcome.then((outcome) => {
      got = outcome.kind;
    });
    await Promise.resolve();
    return () => got;
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  test('drops exactly what a change touches', () => {
    store('/1', 1);
    store('/2', 2);
    feed.commit(100n, [update(2)]);
    assert.ok(cache.get('/1'));
    assert.equal(cache.get('/2'), undefined);
    assert.deepEqual(cache.lastDrop('/2')?.row, { id: '2', v: 'new' });
  });

  test('keeps what was computed after the commit that is told of only now', () => {
    store('/1');
    feed.commit(99n, [update(1)]);
    assert.ok(cache.get('/1'));
  });

  for (const [name, before] of [
    ['before the fill began', true],
    ['while it ran', false],
  ] as const) {
    test(`does not store what missed a commit that was told of ${name}`, () => {
      if (before) feed.commit(50n, [update(1)]);
      const fill = begin('/1', snapshot(100, 50));
      if (!before) feed.commit(50n, [update(1)]);
      assert.equal(end(fill), 'changed');
      assert.equal(cache.get('/1'), undefined);
    });
  }

  test('stores what missed a commit of other rows, or saw the one that touches it', () => {
    feed.commit(50n, [update(2)]);
    assert.equal(end(begin('/1', snapshot(100, 50))), 'stored');
    feed.commit(60n, [update(1)]);
    assert.equal(end(begin('/other', snapshot(100))), 'stored');
  });

  /** An answer from another process, as `end` gives it. */
  const adopt = (validAt: bigint, seen: ReadSnapshot = snapshot(100), position = 0n): string => {
    const fill = lead('/1');
    fill.open();
    fill.read({ text: 'select', terms: [rowTerm(1)], refusal: undefined, durationMs: 0, rows: 1 }, false);
    fill.adopt({ snapshot: seen, position }, validAt);
    return end(fill);
  };

  test('an adopted answer is tried against what was told after the position that it is known to be good at', () => {
    feed.commit(200n, [update(1)]);
    const known = feed.position;
    feed.commit(201n, [update(2)]);
    assert.equal(adopt(known), 'stored');
    cache.purge('/1');
    feed.commit(202n, [update(1)]);
    assert.equal(adopt(known), 'changed');
    assert.equal(adopt(feed.position), 'stored');
    feed.commit(203n, [update(1)]);
    assert.equal(cache.get('/1'), undefined);
    assert.equal(adopt(known, snapshot(300)), 'stored', 'its snapshot has seen them all');
  });

  test('an adopted answer that is older than the memory of commits, or than the epoch, is not stored', () => {
    for (let xid = 200n; xid < 206n; xid++) feed.commit(xid, [update(7)]);
    assert.equal(adopt(0n), 'too-long');
    assert.equal(adopt(cache.coveredFrom), 'stored');
    cache.purge('/1');
    const before = feed.position;
    feed.position = before + 10n;
    feed.emit('epoch', ++feed.epoch, 'stream lost');
    assert.equal(adopt(before), 'too-long');
    assert.equal(adopt(feed.position), 'stored');
  });

  test('an answer of a replica has seen what was replayed, whatever the ids of its transactions', () => {
    feed.commit(50n, [update(1)]);
    const fill = (replayedTo: bigint): string => {
      const one = lead('/1');
      one.open();
      one.read({ text: 'select', terms: [rowTerm(1)], refusal: undefined, durationMs: 0, rows: 1 }, false);
      one.begin({ replayedTo }, replayedTo);
      return end(one);
    };
    assert.equal(fill(feed.position - 1n), 'changed');
    assert.equal(fill(feed.position), 'stored');
    feed.commit(49n, [update(1)]);
    assert.equal(cache.get('/1'), undefined, 'an id below does not mean that it was seen');
    feed.suspects = new Set([48n]);
    assert.equal(fill(feed.position), 'suspect');
  });

  test('a fill that outlasts the memory of commits is not stored', () => {
    const fill = begin('/1', snapshot(100));
    for (let xid = 200n; xid < 206n; xid++) feed.commit(xid, [update(7)]);
    assert.equal(end(fill), 'too-long');
  });

  test('a commit that is forced out unseen keeps later fills from being stored until it is seen', () => {
    feed.commit(50n, [update(1)]); // still running to every snapshot, as with a slow synchronous standby
    for (let xid = 200n; xid < 205n; xid++) feed.commit(xid, [update(7)]);
    feed.emit('snapshot', snapshot(300, 50));
    assert.equal(end(begin('/1', snapshot(300, 50))), 'too-long');
    feed.emit('snapshot', snapshot(301));
    assert.equal(end(begin('/1', snapshot(301))), 'stored');
  });

  test('a suspect transaction keeps what did not see it from being stored', () => {
    feed.suspects = new Set([50n]);
    const fill = begin('/1', snapshot(100, 50));
    feed.suspects = new Set(); // forgotten while the fill runs
    assert.equal(end(fill), 'suspect');
    feed.suspects = new Set([50n]);
    assert.equal(end(begin('/1', snapshot(100))), 'stored');
  });

  test('an epoch, a changed schema and an unknown table drop all and spoil running fills', () => {
    const gaps: Record<string, () => void> = {
      epoch: () => feed.newEpoch(),
      schema: () => feed.commit(500n, [], { schemaChanged: true }),
      'unknown-table': () => {
        cache.setLineage((oid) => (oid === 1 ? [1] : undefined));
        feed.commit(501n, [{ kind: 'insert', relation: { ...relation, oid: 9 }, new: [] }]);
      },
    };
    for (const [reason, gap] of Object.entries(gaps)) {
      store('/1');
      // Read no row, yet may have called a function that means something else by now.
      assert.equal(end(begin('/constant', snapshot(100), [])), 'stored');
      cache.note('/note', 'kept', 1);
      const fill = begin('/2', snapshot(100));
      gap();
      assert.equal(cache.get('/1'), undefined);
      assert.equal(cache.get('/constant'), undefined);
      assert.equal(cache.get('/note')?.value, 'kept');
      assert.equal(cache.lastDrop('/1')?.reason, reason);
      assert.equal(end(fill), 'epoch');
    }
    const fill = begin('/2', snapshot(100));
    feed.emit('schema');
    assert.equal(end(fill), 'epoch', 'a table that came into view may have had a past');
  });

  test('nothing is stored while the feed is silent', () => {
    const fill = begin('/1', snapshot(100));
    feed.fresh = false;
    assert.equal(end(fill), 'not-fresh');
  });

  test('what depends on time lives for its ttl, from the beginning of its computation', () => {
    assert.equal(end(begin('/now', snapshot(100), [], true)), 'time');
    const fill = begin('/now', snapshot(100), [], true);
    nowMs += 400;
    assert.equal(end(fill, { ttlMs: 1_000 }), 'stored');
    const entry = cache.get('/now');
    assert.ok(entry && cache.isGood(entry));
    nowMs += 600;
    assert.ok(!cache.isGood(entry));
  });

  test('a waiter shares what it could have computed itself, and else the next fill', async () => {
    const fill = lead('/1');
    const early = await settled('/1'); // before the snapshot was asked for
    fill.open();
    fill.read({ text: 'select', terms: [rowTerm(1)], refusal: undefined, durationMs: 0, rows: 1 }, false);
    fill.begin(snapshot(100), 0n);
    const before = await settled('/1');
    feed.commit(100n, [update(1)]);
    const after = await settled('/1');
    assert.equal(end(fill), 'changed');
    await turn();
    assert.deepEqual([early(), before(), after()], ['value', 'value', 'again']);
  });

  test('without a fresh feed only those share who asked before the snapshot', async () => {
    const fill = lead('/1');
    const early = await settled('/1');
    fill.open();
    fill.read({ text: 'select', terms: [rowTerm(1)], refusal: undefined, durationMs: 0, rows: 1 }, false);
    fill.begin(snapshot(100), 0n);
    const trusting = await settled('/1');
    feed.fresh = false;
    const late = await settled('/1');
    assert.equal(end(fill), 'not-fresh');
    await turn();
    assert.deepEqual([early(), trusting(), late()], ['value', 'again', 'again']);
  });

  test('a time-dependent answer that also missed a change is not shared with those who asked later', async () => {
    const fill = begin('/1', snapshot(100), [rowTerm(1)], true);
    for (let xid = 200n; xid < 206n; xid++) feed.commit(xid, [update(1)]); // the first of them is forgotten
    const late = await settled('/1');
    assert.equal(end(fill), 'too-long');
    await turn();
    assert.equal(late(), 'again');
  });

  test('reasons of the handler’s own are shared with nobody', async () => {
    const fill = begin('/1', snapshot(100));
    fill.abandon('set-cookie', 'for one client');
    const waiter = await settled('/1');
    assert.equal(end(fill), 'set-cookie');
    await turn();
    assert.equal(waiter(), 'again');
  });

  test('a fill that was given up neither stores nor ends its successor', async () => {
    const first = begin('/1', snapshot(100));
    const waiter = await settled('/1');
    cache.fail(first);
    await turn();
    assert.equal(waiter(), 'again');
    const second = begin('/1', snapshot(100));
    assert.equal(end(first), 'given-up');
    assert.ok(cache.isFilling('/1'), 'the second still gathers waiters');
    cache.fail(first);
    assert.ok(cache.isFilling('/1'));
    assert.equal(end(second), 'stored');
  });

  test('a stale entry stays for its time, is counted once, and no longer moves', () => {
    store('/1', 1, { staleForMs: 500 });
    nowMs += 100;
    feed.commit(200n, [update(1)]);
    const entry = cache.get('/1');
    assert.ok(entry && !cache.isGood(entry));
    nowMs += 300;
    assert.equal(cache.staleMs(entry), 300);
    feed.commit(201n, [update(1)]);
    feed.newEpoch();
    assert.equal(cache.staleMs(entry), 300, 'stale since the first change');
    assert.equal(cache.figures().dropped, 1);
    assert.equal(cache.lastDrop('/1')?.reason, 'change');
  });

  test('an entry ages while the feed is silent, and while it speaks in doubt', () => {
    store('/1', 1, { staleForMs: 500 });
    feed.emit('snapshot', snapshot(100));
    feed.fresh = false;
    nowMs += 200;
    feed.emit('snapshot', snapshot(101)); // a heartbeat that proves nothing
    const entry = cache.get('/1');
    assert.equal(entry && cache.staleMs(entry), 200);
  });

  test('what is evicted, replaced or too large leaves the index', () => {
    const small = new Cache<string>({ feed, now: () => nowMs, sizeMaxBytes: 20_000 });
    small.setLineage((oid) => [oid]);
    cache = small;
    for (let n = 0; n < 100; n++) store(`/${n}`, 1);
    const { entries, evicted, sizeBytes } = cache.figures();
    assert.ok(entries < 100 && entries + evicted === 100 && sizeBytes <= 20_000);
    for (let n = 0; n < 10; n++) store('/same', 1);
    const fill = begin('/huge', snapshot(100), [rowTerm(1)]);
    cache.complete(fill, { key: '/huge', value: 'huge', valueBytes: 30_000 });
    assert.equal(cache.get('/huge'), undefined);
    const left = cache.figures().entries;
    feed.commit(200n, [update(1)]);
    assert.equal(cache.figures().dropped, left, 'each entry is found once, and none that is gone');
    assert.equal(cache.figures().entries, 0);
    assert.equal(cache.figures().sizeBytes, 0);
  });

  test('what is remembered of a dropped row is short', () => {
    store('/1');
    feed.commit(200n, [update(1, 'x'.repeat(1_000_000))]);
    assert.ok((cache.lastDrop('/1')?.row?.v?.length ?? 0) < 200);
  });
});
