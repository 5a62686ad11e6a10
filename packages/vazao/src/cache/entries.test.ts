/** Which entries stay when there is no room for all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LRUCache } from 'lru-cache';
import { createRandom } from '../testing/random.ts';
import { createRandom as createSeeded } from '../torture/random.ts';
import { Entries } from './entries.ts';
import { createNote, type Entry } from './entry.ts';

type Left = [key: string, reason: string];

function create(sizeMaxBytes: number): { entries: Entries<string>; left: Left[] } {
  const left: Left[] = [];
  return { entries: new Entries<string>({ sizeMaxBytes, onLeave: (e, reason) => left.push([e.key, reason]) }), left };
}

/** An entry that is counted with so many bytes. */
function entry(key: string, sizeBytes: number): Entry<string> {
  return { ...createNote(key, key, 0, 0), sizeBytes };
}

test('sizes, keys and those that leave agree, whatever is done', (context) => {
  const random = createRandom(context).next;
  const there = new Map<string, Entry<string>>();
  const entries = new Entries<string>({
    sizeMaxBytes: 10_000,
    onLeave: (leaving) => {
      assert.equal(there.get(leaving.key), leaving, 'what leaves was there, once');
      there.delete(leaving.key);
    },
  });
  let sizeMaxBytes = 10_000;
  for (let step = 0; step < 20_000; step++) {
    if (step % 97 === 96) {
      sizeMaxBytes = 2_000 + Math.floor(random() * 8_000);
      entries.resize(sizeMaxBytes);
    }
    const key = `/${Math.floor(random() ** 2 * 200)}`;
    const choice = random();
    if (choice < 0.4) assert.equal(entries.get(key), there.get(key));
    else if (choice < 0.8) {
      const added = entry(key, 1 + Math.floor(random() ** 3 * 4_000));
      // It leaves before the new one comes, and the new one may leave in the same call.
      const before = there.get(key);
      if (before) {
        entries.delete(key);
        assert.equal(there.has(key), false);
      }
      there.set(key, added);
      entries.set(added);
    } else if (choice < 0.9) {
      const grown = there.get(key);
      if (grown) entries.grow(grown, Math.floor(random() * 500));
      else entries.grow(entry(key, 1), 100);
    } else {
      const wasThere = there.has(key);
      assert.equal(entries.delete(key), wasThere);
    }
    let sum = 0;
    for (const one of there.values()) sum += one.sizeBytes;
    assert.equal(entries.sizeBytes, sum);
    assert.equal(entries.size, there.size);
    assert.ok(sum <= sizeMaxBytes, `${sum} of ${sizeMaxBytes} bytes`);
  }
  assert.deepEqual([...entries.keys()].sort(), [...there.keys()].sort());
  assert.deepEqual(new Set(entries.values()), new Set(there.values()));
  assert.ok(there.size > 0);
});

test('with less room the popular ones stay, and with more again there is room for others', () => {
  const { entries } = create(10_000);
  for (let id = 0; id < 90; id++) entries.set(entry(`/${id}`, 100));
  for (let use = 0; use < 3; use++) for (let id = 0; id < 20; id++) entries.get(`/${id}`);
  entries.resize(2_500);
  assert.ok(entries.sizeBytes <= 2_500);
  for (let id = 0; id < 20; id++) assert.ok(entries.peek(`/${id}`), `/${id}`);
  entries.resize(10_000);
  for (let id = 100; id < 150; id++) entries.set(entry(`/${id}`, 100));
  assert.ok(entries.sizeBytes > 7_000, `${entries.sizeBytes} bytes`);
});

test('what is replaced leaves, and its successor keeps its place', () => {
  const { entries, left } = create(100_000);
  entries.set(entry('/a', 100));
  const second = entry('/a', 200);
  entries.set(second);
  assert.deepEqual(left, [['/a', 'replace']]);
  assert.equal(entries.peek('/a'), second);
  assert.equal(entries.sizeBytes, 200);
});

test('what is larger than everything together does not stay, and costs nobody a place', () => {
  const { entries, left } = create(10_000);
  for (let n = 0; n < 50; n++) entries.set(entry(`/${n}`, 100));
  for (let n = 0; n < 20; n++) entries.miss('/huge');
  entries.set(entry('/huge', 20_000));
  assert.deepEqual(left, [['/huge', 'evict']]);
});

test('a large answer that is asked for again and again gets the place of small ones that are not', () => {
  const { entries } = create(100_000);
  for (let n = 0; n < 200; n++) {
    entries.miss(`/${n}`);
    entries.set(entry(`/${n}`, 1_000));
  }
  entries.miss('/large');
  entries.set(entry('/large', 50_000));
  assert.equal(entries.peek('/large'), undefined, 'asked for once, like the others');
  for (let n = 0; n < 5; n++) entries.miss('/large');
  entries.set(entry('/large', 50_000));
  assert.ok(entries.peek('/large'));
});

test('what grows in its place makes the least popular ones leave', () => {
  const { entries, left } = create(10_000);
  const growing = entry('/growing', 1_000);
  entries.set(growing);
  for (let n = 0; n < 80; n++) entries.set(entry(`/${n}`, 100));
  for (let n = 0; n < 3; n++) entries.get('/growing');
  entries.grow(growing, 4_000);
  assert.ok(entries.peek('/growing'));
  assert.ok(entries.sizeBytes <= 10_000);
  assert.ok(left.length >= 30 && left.every(([, reason]) => reason === 'evict'));
});

/*
 * The claim of admission by frequency: a popular set by Zipf's law, and a client that asks for addresses that nobody else
 * asks for. What least recently used loses is known: by Che's approximation (Che, Tung, Wang 2002) each key of rate λ is
 * found with probability 1 - e^(-λT), where T is the time in which as many different keys are asked for as there is room.
 * What is best is known, too: the most popular ones, all the time.
 */
const POPULAR = 2_000;
const ROOM = 1_000;
const REQUESTS = 60_000;
/** Requests for addresses that come once, for each request for a popular one. */
const FLOOD = 3;

test('a flood of addresses that nobody else asks for leaves the hits of the popular ones where they were', (context) => {
  const rates = zipf();
  const best = rates.slice(0, ROOM).reduce((total, rate) => total + rate, 0);

  const lru = new LRUCache<string, true>({ max: ROOM });
  const byRecency = simulate(
    rates,
    (key) => lru.get(key) === true,
    (key) => lru.set(key, true),
  );
  const expected = cheHitRate(rates, FLOOD);
  assert.ok(Math.abs(byRecency - expected) < 0.02, `least recently used: ${byRecency}, expected ${expected}`);

  const { entries } = create(ROOM * 100);
  const byFrequency = simulate(
    rates,
    (key) => entries.get(key) !== undefined,
    (key) => {
      entries.miss(key);
      entries.set(entry(key, 100));
    },
  );
  context.diagnostic(
    `hits of the popular set: best ${best.toFixed(3)}, by recency ${byRecency.toFixed(3)} (expected ${expected.toFixed(3)}), by frequency ${byFrequency.toFixed(3)}`,
  );
  assert.ok(byFrequency > 0.85 * best, `by frequency ${byFrequency}, best ${best}`);
  assert.ok(byFrequency > byRecency + 0.25);
});

test('nor does a flood that asks for each of its addresses twice, the second time when it has left the window', () => {
  const rates = zipf();
  const best = rates.slice(0, ROOM).reduce((total, rate) => total + rate, 0);
  const { entries } = create(ROOM * 100);
  const put = (key: string): void => {
    entries.miss(key);
    entries.set(entry(key, 100));
  };
  const share = simulate(rates, (key) => entries.get(key) !== undefined, put, 30);
  assert.ok(share > 0.65 * best, `${share}, best ${best}`);
});

test('one that was popular keeps nobody out for ever: the next candidate stands against another', () => {
  const { entries } = create(100 * 100);
  const ask = (key: string): void => {
    if (entries.get(key)) return;
    entries.miss(key);
    entries.set(entry(key, 100));
  };
  for (let n = 0; n < 14; n++) entries.miss('/once-popular');
  for (const key of ['/once-popular', ...Array.from({ length: 98 }, (_, n) => `/other/${n}`)]) ask(key);
  for (let n = 0; n < 10; n++) {
    ask('/new');
    ask(`/passing/${n}`); // takes its place in the window
  }
  assert.ok(entries.peek('/new'));
  assert.ok(entries.peek('/once-popular'));
});

test('what becomes popular replaces what was', () => {
  const { entries } = create(ROOM * 100);
  const ask = (key: string): boolean => {
    if (entries.get(key)) return true;
    entries.miss(key);
    entries.set(entry(key, 100));
    return false;
  };
  for (let n = 0; n < 50_000; n++) ask(`/old/${n % 900}`);
  let hits = 0;
  const asked = 100_000;
  for (let n = 0; n < asked; n++) if (ask(`/new/${n % 900}`) && n >= asked / 2) hits++;
  assert.ok(hits > 0.95 * (asked / 2), `${hits} hits`);
});

function zipf(): number[] {
  const weights = Array.from({ length: POPULAR }, (_, n) => 1 / (n + 1) ** 0.9);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/**
 * The share of requests for popular keys that were hits, in the second half.
 * @param againAfter - addresses of the flood after which one is asked for again; 0: never
 */
function simulate(
  rates: readonly number[],
  find: (key: string) => boolean,
  put: (key: string) => void,
  againAfter = 0,
): number {
  const random = createSeeded(7).next;
  const sums: number[] = [];
  let total = 0;
  for (const rate of rates) {
    total += rate;
    sums.push(total);
  }
  let hits = 0;
  let asked = 0;
  let unique = 0;
  for (let n = 0; n < REQUESTS; n++) {
    const at = random();
    let low = 0;
    for (let high = sums.length - 1; low < high; ) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) < at) low = middle + 1;
      else high = middle;
    }
    const key = `/popular/${low}`;
    const isHit = find(key);
    if (!isHit) put(key);
    if (n >= REQUESTS / 2) {
      asked++;
      if (isHit) hits++;
    }
    for (let time = 0; time < FLOOD; time++) {
      const isAgain = againAfter > 0 && time % 2 === 1;
      const other = `/flood/${isAgain ? unique - againAfter : unique++}`;
      if (!find(other)) put(other);
    }
  }
  return hits / asked;
}

/** Solves Σ (1 - e^(-λT)) + flood · T = room for T. */
function cheHitRate(rates: readonly number[], flood: number): number {
  const filled = (time: number): number =>
    rates.reduce((total, rate) => total + 1 - Math.exp(-rate * time), 0) + flood * time;
  let low = 0;
  let high = ROOM;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (filled(middle) < ROOM) low = middle;
    else high = middle;
  }
  return rates.reduce((total, rate) => total + rate * (1 - Math.exp(-rate * low)), 0);
}
