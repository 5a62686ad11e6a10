import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../testing/random.ts';
import { type Interval, RangeIndex } from './range-index.ts';

test('finds exactly the intervals that hold the number, whatever was added and removed before', (context) => {
  const random = createRandom(context);
  const index = new RangeIndex<number>();
  const kept = new Map<number, Interval<number>>();
  let next = 0;
  const bound = (): number => {
    const kind = random.integer(10);
    if (kind === 0) return Number.NEGATIVE_INFINITY;
    if (kind === 1) return Number.POSITIVE_INFINITY;
    return random.integer(60) - 30;
  };
  for (let step = 0; step < 6_000; step++) {
    const grows = step < 3_000 ? random.integer(3) > 0 : random.integer(3) === 0;
    if (grows) {
      const [a, b] = [bound(), bound()];
      const item = next++;
      // Also empty ones (low > high), which hold nothing.
      kept.set(
        item,
        random.integer(10) === 0 ? index.add(a, b, item) : index.add(Math.min(a, b), Math.max(a, b), item),
      );
    } else if (kept.size > 0) {
      const item = random.pick([...kept.keys()]);
      index.remove(kept.get(item) as Interval<number>);
      kept.delete(item);
    }
    const value = bound();
    const found: number[] = [];
    index.find(value, (item) => {
      found.push(item);
    });
    const expected = [...kept].filter(([, { low, high }]) => low <= value && value <= high).map(([item]) => item);
    assert.deepEqual(
      found.toSorted((a, b) => a - b),
      expected.toSorted((a, b) => a - b),
      `at ${value} after ${step} steps`,
    );
    assert.equal(index.size, kept.size);
  }
  const all: number[] = [];
  index.forEach((item) => {
    all.push(item);
  });
  assert.deepEqual(new Set(all), new Set(kept.keys()));
});
