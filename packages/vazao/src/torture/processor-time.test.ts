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

test('what the processes of a database server took is counted when they have ended, and once', {
  skip: process.platform !== 'linux',
}, async () => {
  const work = `while (process.cpuUsage().user < 400_000);`;
  // One after the other, as processes of connections: both have ended when it says so.
  const script = `"${process.execPath}" -e '${work}'; "${process.execPath}" -e '${work}'; echo .; read line`;
  const server = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  try {
    const pids = { primary: { pid: server.pid }, standbys: [] };
    const time = new ProcessorTime({ hosts: [], cluster: pids, redis: { pid: undefined } } as unknown as Stage);
    time.sample();
    const samples = setInterval(() => time.sample(), 20);
    await once(server.stdout, 'data');
    clearInterval(samples);
    time.sample();
    assert.ok(time.seconds.primary > 0.7 && time.seconds.primary < 8, `${time.seconds.primary}`);
    const before = time.seconds.primary;
    time.sample();
    assert.equal(time.seconds.primary, before);
  } finally {
    server.kill('SIGKILL');
    await once(server, 'exit');
  }
});
