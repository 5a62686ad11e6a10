import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COUNT_MAX, FrequencySketch } from './frequency-sketch.ts';

test('a key counts as often as it was asked for, and never less', () => {
  const sketch = new FrequencySketch();
  sketch.ensure(1_024);
  const asked = new Map<string, number>();
  for (let n = 0; n < 2_000; n++) {
    const times = 1 + (n % 7);
    asked.set(`/campanhas/${n}`, times);
    for (let time = 0; time < times; time++) sketch.add(sketch.fingerprint(`/campanhas/${n}`));
  }
  let exact = 0;
  for (const [key, times] of asked) {
    const count = sketch.count(sketch.fingerprint(key));
    assert.ok(count >= times, `${key}: ${count} of ${times}`);
    if (count === times) exact++;
  }
  // Too large only where all four counters are shared: of 32 in a row, with some 16 others in the block, each is by one or more with
  // probability 1 - e^(-16/32) = 0.39, all four by 0.39^4 = 0.022 of the keys, of which the raising of the least alone leaves fewer.
  assert.ok(exact >= 0.95 * asked.size, `${exact} of ${asked.size} are exact`);
  assert.ok(sketch.count(sketch.fingerprint('/never')) <= 7);
});

test('counting ends at fifteen', () => {
  const sketch = new FrequencySketch();
  const key = sketch.fingerprint('/');
  for (let n = 0; n < 100; n++) sketch.add(key);
  assert.equal(sketch.count(key), COUNT_MAX);
});

test('what was popular is forgotten by halves', () => {
  const sketch = new FrequencySketch();
  const old = sketch.fingerprint('/old');
  for (let n = 0; n < 12; n++) sketch.add(old);
  const now = sketch.fingerprint('/now');
  // With room for 256 keys they are halved after 2,560 countings.
  for (let n = 12; n < 2_559; n++) sketch.add(now);
  assert.equal(sketch.count(old), 12);
  sketch.add(now);
  assert.equal(sketch.count(old), 6);
  assert.equal(sketch.count(now), 7);
});

test('all counts are halved, and none reaches into its neighbour', () => {
  const sketch = new FrequencySketch();
  const keys = Array.from({ length: 2_000 }, (_, n) => sketch.fingerprint(`/${n}`));
  for (const key of keys) sketch.add(key);
  const before = keys.map((key) => sketch.count(key));
  const other = sketch.fingerprint('/other');
  for (let counted = 2_000; counted < 2_560; counted++) sketch.add(other);
  // Raised by `other` meanwhile, where all counters are shared with it.
  const wrong = keys.filter((key, n) => sketch.count(key) > Math.floor((before[n] as number) / 2));
  assert.ok(wrong.length <= 10, `${wrong.length} of 2,000 are larger than half`);
});

test('what was counted stays when there is more to count', () => {
  const sketch = new FrequencySketch();
  const keys = Array.from({ length: 300 }, (_, n) => sketch.fingerprint(`/${n}`));
  for (const [n, key] of keys.entries()) for (let time = 0; time <= n % 5; time++) sketch.add(key);
  const before = keys.map((key) => sketch.count(key));
  sketch.ensure(50_000);
  assert.deepEqual(
    keys.map((key) => sketch.count(key)),
    before,
  );
});
