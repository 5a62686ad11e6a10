/** What the lab learns of a server at `/health`: of ours, by HTTP, and of others nothing that they don't say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { registerHealth } from '../../runtime/health.ts';
import { cached, createPatientSetting } from '../../testing/cached-app.ts';
import { parseHealth } from './ask-health.ts';
import { startMonitor } from './monitor.ts';

test('workers, the memory of the one that answers and what its cache holds are in the samples', async () => {
  await using setting = await createPatientSetting();
  const { app, platform, read } = setting;
  const { db, feed, cache } = platform;
  const findWorkers = () => ({ pid: process.pid, alive: 3, wanted: 3 });
  registerHealth(app, { db, feed, cache, findWorkers, secondTier: undefined });
  app.get('/itens', cached, async () => ({ nome: await read() }));
  const origin = await platform.listen();
  assert.equal((await platform.get('/itens')).status, 200);
  const figures = cache.figures();
  assert.equal(figures.entries, 1);
  const options = { pid: process.pid, probeFolder: undefined, healthUrl: `${origin}/health`, elapsedS: () => 0 };
  const monitor = startMonitor(options);
  try {
    // A busy machine may not answer in time at first.
    while (!monitor.samples.some(({ workers }) => workers !== undefined)) await delay(20);
  } finally {
    monitor.stop();
  }
  const sample = monitor.samples.find(({ workers }) => workers !== undefined) ?? assert.fail();
  assert.equal(sample.workers, 3);
  assert.deepEqual(sample.cache, {
    entries: 1,
    bytes: figures.sizeBytes,
    bytesMax: figures.sizeMaxBytes,
    evicted: 0,
  });
  if (process.platform !== 'linux') return;
  assert.ok(
    (sample.workerRssBytes ?? 0) > 2 ** 20 && (sample.workerRssBytes ?? 0) <= (sample.rssBytes ?? 0),
    JSON.stringify(sample),
  );
});

test('of what other servers say at /health the word is taken, and what has another shape is left out', () => {
  assert.deepEqual(parseHealth('{"status":"ok","workers":7,"cache":{"entries":"many","size_bytes":1}}'), {
    status: 'ok',
  });
  assert.deepEqual(parseHealth('{"status":"ok","workers":{"alive":2,"pid":-1},"cache":null}'), {
    status: 'ok',
    workers: 2,
  });
  for (const text of ['', '<html>', 'null', '7', '{"status":200}', '[]'])
    assert.equal(parseHealth(text), undefined, text);
});
