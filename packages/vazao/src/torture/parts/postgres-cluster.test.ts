import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { untilTold } from './bounded.ts';
import { startCluster } from './postgres-cluster.ts';
import type { PostgresNode } from './postgres-node.ts';

const BOUND_MS = 60_000;

async function count(node: PostgresNode): Promise<number> {
  const [row] = await node.query<{ n: number }>('select count(*)::int as n from a');
  return row?.n ?? -1;
}

async function timeline(node: PostgresNode): Promise<number> {
  const [row] = await node.query<{ n: number }>('select timeline_id as n from pg_control_checkpoint()');
  return row?.n ?? -1;
}

test('a primary with standbys: replay, delay, synchronous commits, failover, return of the old primary', async (t) => {
  await using cluster = await startCluster({
    standbys: [{ name: 'asynchronous' }, { name: 'synchronous', synchronous: true }],
    settings: { work_mem: '5MB' },
  });
  const { primary } = cluster;
  const [asynchronous, synchronous] = [cluster.node('asynchronous'), cluster.node('synchronous')];
  assert.deepEqual(await primary.query('show work_mem'), [{ work_mem: '5MB' }]);
  assert.deepEqual(await primary.query('show wal_level'), [{ wal_level: 'logical' }]);
  await primary.query('create table a (n int)');

  await t.test('a standby shows what the primary committed, and refuses writes', async () => {
    await primary.query('insert into a values (1)');
    for (const standby of cluster.standbys) {
      await cluster.untilReplayed(standby);
      assert.equal(await count(standby), 1, standby.name);
      await assert.rejects(standby.query('insert into a values (2)'), { code: '25006' });
    }
  });

  await t.test('a paused replay shows nothing new until it goes on', async () => {
    await cluster.pauseReplay(asynchronous);
    await primary.query('insert into a values (2)');
    await cluster.untilReplayed(synchronous);
    await assert.rejects(cluster.untilReplayed(asynchronous, 50), { code: 'ERR_PART_TIMEOUT' });
    assert.equal(await count(asynchronous), 1);
    await cluster.resumeReplay(asynchronous);
    await cluster.untilReplayed(asynchronous);
    assert.equal(await count(asynchronous), 2);
  });

  await t.test('an apply delay holds commits back, and its end lets them through', async () => {
    await cluster.setApplyDelay(asynchronous, 3_600_000);
    await primary.query('insert into a values (3)');
    await cluster.untilReplayed(synchronous);
    await assert.rejects(cluster.untilReplayed(asynchronous, 50), { code: 'ERR_PART_TIMEOUT' });
    await cluster.setApplyDelay(asynchronous, 0);
    await cluster.untilReplayed(asynchronous);
    assert.equal(await count(asynchronous), 3);
  });

  await t.test('a commit waits for the synchronous standby, and for nobody when there is none', async () => {
    await synchronous.stop('immediate');
    const writer = new pg.Client(primary.url);
    await writer.connect();
    const commit = writer.query('insert into a values (4)');
    await untilTold(
      'the commit waits',
      async () => (await primary.query("select 1 from pg_stat_activity where wait_event = 'SyncRep'")).length === 1,
      BOUND_MS,
    );
    await synchronous.start();
    await commit;
    await writer.end();
    await cluster.setSynchronous([]);
    await synchronous.stop();
    await primary.query('insert into a values (5)');
    await synchronous.start();
    await cluster.setSynchronous(['synchronous']);
  });

  await t.test('after a crash the standby takes over on a new timeline, with all that was acknowledged', async () => {
    const pid = primary.pid ?? 0;
    await primary.kill();
    assert.equal(primary.isRunning, false);
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    await cluster.promote(synchronous);
    assert.equal(cluster.primary, synchronous);
    assert.deepEqual(cluster.standbys, [asynchronous]);
    assert.equal(await count(synchronous), 5);
    await synchronous.query('insert into a values (6)');
    await cluster.untilReplayed(asynchronous);
    assert.equal(await count(asynchronous), 6, 'the other standby follows the new primary');
  });

  await t.test('the old primary starts with what only it has, and comes back without it', async () => {
    await primary.start();
    await primary.set({ synchronous_standby_names: '' });
    await primary.query('insert into a values (7), (8)');
    assert.equal(await count(primary), 7);
    await cluster.rejoin(primary, 'rewind');
    await cluster.untilReplayed(primary);
    assert.equal(await count(primary), 6);
    assert.equal(await timeline(synchronous), 2);
    assert.deepEqual(cluster.standbys, [asynchronous, primary]);
  });

  await t.test('and again, by copy', async () => {
    await cluster.promote(primary);
    await cluster.rejoin(synchronous, 'copy');
    await primary.query('insert into a values (9)');
    await cluster.untilReplayed(synchronous);
    assert.equal(await count(synchronous), 7);
    await assert.rejects(cluster.promote(primary), { code: 'ERR_PART_STATE', message: /asynchronous, synchronous/ });
    await assert.rejects(cluster.rejoin(primary, 'copy'), { code: 'ERR_PART_STATE' });
    await assert.rejects(primary.set({ max_connections: '300' }), { code: 'ERR_PART_OPTION', message: /restart/ });
  });
});

test('nothing is left of a closed cluster, and a wrong setting is told with the words of the server', async () => {
  const cluster = await startCluster();
  const { pid = 0, dataFolder } = cluster.primary;
  await cluster.close();
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  assert.equal(existsSync(dirname(dataFolder)), false);
  await assert.rejects(startCluster({ settings: { wal_level: 'everything' } }), {
    code: 'ERR_PART_START',
    message: /invalid value for parameter "wal_level"/,
  });
  await assert.rejects(startCluster({ standbys: [{ name: '../a' }] }), { code: 'ERR_PART_OPTION' });
});
