import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { readConfiguration } from './configuration.ts';
import { heapOptions, leastMemory, shareMemory, workersFor } from './memory.ts';

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
  const { memory } = start({ MEMORY_LIMIT: '512MB', WORKERS: '1' });
  assert.deepEqual(memory, { shareBytes: 432 * MB, heapBytes: 218 * MB, cacheBytes: 170 * MB });
  assert.equal(start({ MEMORY_LIMIT: '16GB', WORKERS: '2' }).cacheSizeMaxBytes, 256 * MB);
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
  refused({ MEMORY_LIMIT: '100MB' }, /too little for WORKERS=1\. Give at least 176 MB\.$/);
  refused({ WORKERS: '1', WORKER_REQUESTS_MAX: '1000' }, /a single process can’t be replaced without a gap/);
});

test('the parts are never more than the whole, and the least that is named is enough, and no byte less', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 100 * MB, max: 64 * 1024 * MB }),
      fc.option(fc.integer({ min: MB, max: 1024 * MB }), { nil: undefined }),
      (workers, limit, cacheSize) => {
        const shares = shareMemory(limit, workers, cacheSize);
        if (shares) {
          const { shareBytes, heapBytes, cacheBytes } = shares;
          assert.ok((workers === 1 ? 80 : 184) * MB + workers * shareBytes <= limit);
          assert.ok(44 * MB + heapBytes + cacheBytes / workers <= shareBytes + 1);
          assert.ok(cacheSize === undefined || Math.abs(cacheBytes - cacheSize) <= workers);
        }
        const least = leastMemory(workers, cacheSize) + workers;
        assert.ok(shareMemory(least, workers, cacheSize), 'the least is enough');
        assert.equal(shareMemory(least - 3 * workers, workers, cacheSize), undefined, 'less is not');
        const room = workersFor(limit);
        assert.ok(room === 1 || shareMemory(limit, room, undefined), 'there is room for so many');
      },
    ),
  );
});
