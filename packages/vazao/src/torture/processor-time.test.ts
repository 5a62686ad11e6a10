import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { ProcessorTime } from './processor-time.ts';
import type { Stage } from './stage.ts';

test('time is counted for the part that takes it, from the first look on', {
  skip: process.platform !== 'linux',
}, async () => {
  // Works for 300 ms of processor time, and then sleeps.
  const work = `while (process.cpuUsage().user < 300_000); process.stdout.write('.'); setInterval(() => {}, 1_000)`;
  const child = spawn(process.execPath, ['-e', work], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const pids = { primary: { pid: undefined }, standbys: [] };
    const stage = { hosts: [], cluster: pids, redis: { pid: child.pid } } as unknown as Stage;
    const time = new ProcessorTime(stage);
    const before = process.cpuUsage();
    time.sample();
    await once(child.stdout, 'data');
    time.sample();
    const { user, system } = process.cpuUsage(before);
    const { Redis: redis, client, workers } = time.seconds;
    assert.ok(redis > 0.1 && redis < 5, `${redis}`);
    assert.ok(client <= (user + system) / 1_000_000 + 0.05, `${client}`);
    assert.equal(workers, 0);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});
