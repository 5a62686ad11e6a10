import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CachePressure } from './cache-pressure.ts';
import { rssMax } from './memory.ts';

const MB = 1024 ** 2;
const MEMORY = { shareBytes: 136 * MB, heapBytes: 68 * MB, cacheBytes: 24 * MB };
const MAX = rssMax(MEMORY);
const CACHE = 24 * MB;
const HEAP = 72 * MB;

/** A cache that is full, whose process has so much beside it. */
function createStage(besideBytes: number): {
  readonly cacheBytes: () => number;
  look(besideBytes?: number, heapBytes?: number): void;
} {
  let [sizeBytes, sizeMaxBytes] = [CACHE, CACHE];
  const cache = {
    resize(bytes: number): void {
      sizeMaxBytes = bytes;
      sizeBytes = bytes; // what may be there soon is
    },
    figures: () => ({ sizeBytes, sizeMaxBytes }),
  };
  const pressure = new CachePressure(cache, MEMORY);
  return {
    cacheBytes: () => sizeMaxBytes,
    look: (beside = besideBytes, heapBytes = 0) =>
      pressure.look({ rssBytes: beside + sizeBytes, heapBytes, heapMaxBytes: HEAP }),
  };
}

test('a cache gives way until its process has room, and no further', () => {
  const stage = createStage(0.8 * MAX);
  for (let second = 0; second < 60; second++) stage.look();
  assert.equal(MAX, 200 * MB);
  assert.ok(stage.cacheBytes() + 0.8 * MAX <= 0.85 * MAX, `${stage.cacheBytes() / MB} MB`);
  assert.ok(stage.cacheBytes() > 0.9 * 0.05 * MAX - 1, 'a tenth at a time');
});

test('where nothing helps, what is asked for all the time stays', () => {
  const stage = createStage(MAX);
  for (let second = 0; second < 600; second++) stage.look();
  assert.equal(stage.cacheBytes(), CACHE / 4);
});

test('it gets its size back, slowly, when there has been room for a while', () => {
  const stage = createStage(0.8 * MAX);
  for (let second = 0; second < 60; second++) stage.look();
  const small = stage.cacheBytes();
  for (let second = 0; second < 9; second++) stage.look(0.5 * MAX);
  assert.equal(stage.cacheBytes(), small);
  stage.look(0.5 * MAX);
  assert.equal(stage.cacheBytes(), Math.ceil(small * 1.05));
  for (let second = 0; second < 60; second++) stage.look(0.5 * MAX);
  assert.equal(stage.cacheBytes(), CACHE);
});

test("it gives way to V8's heap too, when collecting does not help, and to nothing that is only not collected yet", () => {
  const stage = createStage(0);
  for (let second = 0; second < 60; second++) stage.look(0, (second % 5 === 0 ? 0.7 : 0.99) * HEAP);
  assert.equal(stage.cacheBytes(), CACHE);
  stage.look(0, 0.8 * HEAP);
  assert.equal(stage.cacheBytes(), Math.floor(0.9 * CACHE));
  for (let second = 0; second < 60; second++) stage.look(0, 0.7 * HEAP);
  assert.equal(stage.cacheBytes(), Math.floor(0.9 * CACHE), 'there is no room to grow');
});

test('without pressure nothing changes', () => {
  const stage = createStage(0.72 * MAX);
  for (let second = 0; second < 60; second++) stage.look();
  assert.equal(stage.cacheBytes(), CACHE);
});
