/** The alarm of a generator's thread, beside a metronome whose steps are taken one by one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { createAlarm, createMetronomeMemory, stopMetronome } from './metronome.ts';

const ENTRY = new URL('../entry/metronome.ts', import.meta.url);
const NEVER = Number.POSITIVE_INFINITY;

test('what is set while the metronome takes out what was due before is not lost', async () => {
  const memory = createMetronomeMemory(1);
  const due = new Float64Array(memory, 8, 1);
  const woken = new Int32Array(memory, 16, 1);
  const rung = Promise.withResolvers<number>();
  const timer = setTimeout(() => rung.reject(new Error('The alarm never came.')), 5_000);
  const alarm = createAlarm(memory, 0, () => rung.resolve(performance.now()));
  alarm.set(performance.now());
  const at = performance.now() + 50;
  // It has seen that the first is due; its owner, whom an answer woke, is faster.
  alarm.set(at);
  due[0] = NEVER;
  Atomics.add(woken, 0, 1);
  Atomics.notify(woken, 0);
  const metronome = new Worker(ENTRY, { workerData: memory });
  try {
    assert.ok((await rung.promise) >= at);
    assert.equal(due[0], NEVER);
  } finally {
    clearTimeout(timer);
    stopMetronome(memory);
    await once(metronome, 'exit');
  }
});
