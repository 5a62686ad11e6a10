import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { readConfiguration } from './configuration.ts';
import { cacheWithoutRoom, heapOptions, leastMemory, shareMemory, workersFor } from './memory.ts';

const MB = 1024 ** 2;
const start = (variables: Record<string, string>) =>
  readConfiguration('production', { VAZAO_SECRET: 'x'.repeat(40), ...variables }, '/project');

test('472 MB have room for three workers: 120 supervisor + 64 while one is replaced + 3 × (44 + 48 heap + 4 cache)', () => {
  const { memory, cacheSizeMaxBytes, workers } = start({ MEMORY_LIMIT: '472MB', WORKERS: '3' });
  assert.deepEqual(memory, { shareBytes: 96 * MB, heapBytes: 48 * MB, cacheBytes: 12 * MB });
  assert.deepEqual([cacheSizeMaxBytes, workers], [12 * MB, 3]);
  assert.deepEqual(heapOptions({ shareBytes: 96 * MB, heapBytes: 48 * MB, cacheBytes: 12 * MB }), [
    '--max-old-space-size=48',
    '--max-semi-space-size=2',
  ]);
});

test('one process of 512 MB: 80 + 432, half of what is beyond the least for the cache, and not more than 256 MB', () => {
  const { memory } = start({ MEMORY_LIMIT: '512MB', WORKERS: '0' });
  assert.deepEqual(memory, { shareBytes: 432 * MB, heapBytes: 218 * MB, cacheBytes: 170 * MB });
  assert.equal(start({ MEMORY_LIMIT: '16GB', WORKERS: '2' }).cacheSizeMaxBytes, 256 * MB);
});

test('one worker has a supervisor beside it, and room for its successor: 512 MB = 120 + 64 + 328', () => {
  const { memory, workers } = start({ MEMORY_LIMIT: '512MB', WORKERS: '1' });
  assert.deepEqual([memory, workers], [{ shareBytes: 328 * MB, heapBytes: 166 * MB, cacheBytes: 118 * MB }, 1]);
});

test('where there is no room for a supervisor and one worker, one process serves alone', () => {
  const detected = (limit: number): number => start({ MEMORY_LIMIT: `${limit}MB` }).workers;
  assert.deepEqual([detected(279), detected(280)], [0, 1]);
  assert.deepEqual([workersFor(0), workersFor(375 * MB), workersFor(376 * MB)], [0, 1, 2]);
});

test('workers that somebody wants on a machine with too little have the cache of one process, or the least', () => {
  assert.equal(cacheWithoutRoom(256 * MB, 1), shareMemory(256 * MB, 0, undefined)?.cacheBytes);
  assert.deepEqual([cacheWithoutRoom(100 * MB, 0), cacheWithoutRoom(100 * MB, 3)], [4 * MB, 12 * MB]);
});

test('what does not fit is refused, with what would', () => {
  const refused = (variables: Record<string, string>, message: RegExp): void =>
    assert.throws(() => start(variables), { code: 'ERR_RUNTIME_CONFIGURATION', message });
  refused(
    { MEMORY_LIMIT: '512MB', WORKERS: '4' },
    /^MEMORY_LIMIT is 512 MB, which is too little for WORKERS=4\. Give at least 568 MB, or set WORKERS=3\.$/,
  );
  refused(
    { MEMORY_LIMIT: '512MB', WORKERS: '3', CACHE_SIZE: '64MB' },
    /^MEMORY_LIMIT is 512 MB, which is too little for WORKERS=3 and CACHE_SIZE=64 MB\. Give at least 524 MB, or lower CACHE_SIZE\.$/,
  );
  refused({ MEMORY_LIMIT: '100MB' }, /too little for WORKERS=0\. Give at least 176 MB\.$/);
  refused({ MEMORY_LIMIT: '100MB', WORKERS: '1' }, /too little for WORKERS=1\. Give at least 280 MB\.$/);
  refused({ MEMORY_LIMIT: '200MB', WORKERS: '1' }, /Give at least 280 MB, or set WORKERS=0\.$/);
  refused({ WORKERS: '0', WORKER_REQUESTS_MAX: '1000' }, /one process alone can’t be replaced without a gap/);
  assert.equal(start({ WORKERS: '1', WORKER_REQUESTS_MAX: '1000' }).workerRequestsMax, 1_000);
});

test('the parts are never more than the whole, and the least that is named is enough, and no byte less', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 64 }),
      fc.integer({ min: 100 * MB, max: 64 * 1024 * MB }),
      fc.option(fc.integer({ min: MB, max: 1024 * MB }), { nil: undefined }),
      (workers, limit, cacheSize) => {
        const processes = Math.max(1, workers);
        const shares = shareMemory(limit, workers, cacheSize);
        if (shares) {
          const { shareBytes, heapBytes, cacheBytes } = shares;
          assert.ok((workers === 0 ? 80 : 184) * MB + processes * shareBytes <= limit);
          assert.ok(44 * MB + heapBytes + cacheBytes / processes <= shareBytes + 1);
          assert.ok(cacheSize === undefined || Math.abs(cacheBytes - cacheSize) <= processes);
        }
        const least = leastMemory(workers, cacheSize) + processes;
        assert.ok(shareMemory(least, workers, cacheSize), 'the least is enough');
        assert.equal(shareMemory(least - 3 * processes, workers, cacheSize), undefined, 'less is not');
        const room = workersFor(limit);
        assert.ok(room === 0 || shareMemory(limit, room, undefined), 'there is room for so many');
      },
    ),
  );
});
