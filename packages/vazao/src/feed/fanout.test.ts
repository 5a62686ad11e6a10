/** A source that we drive, channels that are slow and lose messages, and what the workers' feeds then tell. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deserialize } from 'node:v8';
import { createFanOutSetting, DrivenFeed, HEARTBEATS_APART_MS, type Heard } from '../testing/driven-feed.ts';
import { createRandom } from '../testing/random.ts';
import { FanOut } from './fanout.ts';
import type { FanOutMessage, Told } from './fanout-messages.ts';
import { until } from './recorder.ts';

/** Random steps, a few in one turn. */
async function play(source: DrivenFeed, random: ReturnType<typeof createRandom>, steps: number): Promise<void> {
  const step: Record<string, [weight: number, act: () => void]> = {
    commit: [10, () => source.commit(false, undefined, 1 + random.integer(3))],
    advance: [3, () => source.advance()],
    heartbeat: [
      4,
      () => {
        const xmax = source.xid + 1n - BigInt(random.integer(3));
        source.heartbeat({ xmin: xmax - 3n, xmax, running: new Set([xmax - 1n - BigInt(random.integer(3))]) });
      },
    ],
    doubt: [1, () => source.doubt()],
    newEpoch: [0.5, () => source.newEpoch()],
    schema: [1, () => source.schema()],
  };
  const bag = Object.values(step).flatMap(([weight, act]) => Array.from({ length: weight * 2 }, () => act));
  for (let done = 0; done < steps; done++) {
    random.pick(bag)();
    if (random.integer(3) === 0) await new Promise(setImmediate);
  }
}

test('a random history arrives as it was told, event by event, over a slow channel', async (context) => {
  const random = createRandom(context);
  const { source, told, join } = createFanOutSetting(context);
  const { feed, heard } = join({ delayMs: () => random.integer(3) });
  await until(() => feed.isFresh(), 'the worker is fresh');
  const [toldBefore, heardBefore] = [told.length, heard.length];
  await play(source, random, 1_500);
  source.commit();
  source.heartbeat();
  const end = source.position;
  await until(() => feed.position === end && feed.isFresh(), 'everything has arrived');
  await until(() => heard.at(-1)?.name === 'snapshot', 'the last event');

  const expected = collapse(told.slice(toldBefore));
  const found = collapse(heard.slice(heardBefore));
  assert.equal(found.length, expected.length);
  for (const [index, one] of found.entries()) {
    const other = expected[index] as Heard;
    assert.equal(one.name, other.name, `event ${index}`);
    assert.equal(one.position, other.position, `position at event ${index} (${one.name})`);
    assert.deepEqual(one.published, other.published);
    for (const xid of other.suspects) assert.ok(one.suspects.has(xid), `suspect ${xid} at event ${index}`);
    if (one.name === 'epoch') assert.equal(one.args[1], other.args[1]);
    else if (one.name === 'freshness') assertLater(other.args[0] as number, one.args[0] as number);
    else assert.deepEqual(one.args, other.args, `event ${index}`);
  }
  assert.deepEqual(feed.suspects, source.suspects, 'a snapshot that sees everything clears what a worker knows more');
});

/** Freshness may be shorter in a worker, and not by much; never longer. */
function assertLater(source: number, worker: number): void {
  assert.ok(
    worker === source || (worker <= source && worker > source - HEARTBEATS_APART_MS / 2),
    `${worker} is not after ${source}`,
  );
}

/** Of several advances in a row the last counts: a turn may end between any two of them. */
function collapse(heard: readonly Heard[]): Heard[] {
  return heard.filter(({ name }, index) => name !== 'advance' || heard[index + 1]?.name !== 'advance');
}

test('workers that come and go, and lose messages, never miss a commit without an epoch', async (context) => {
  const random = createRandom(context);
  const { source, told, join } = createFanOutSetting(context, {
    unacknowledgedMax: 40,
    unacknowledgedBytesMax: 40_000,
  });
  const workers: ReturnType<typeof join>[] = [];
  let lost = 0;
  let isLossy = true;
  for (let round = 0; round < 12; round++) {
    // One loses so many that it does lose some.
    const lossiness = round % 3 === 0 ? 0 : round === 1 ? 3 : 20 + random.integer(200);
    const slowness = 1 + random.integer(4);
    workers.push(
      join({
        delayMs: () => random.integer(slowness),
        loses: () => {
          const isLost = isLossy && lossiness > 0 && random.integer(lossiness) === 0;
          if (isLost) lost++;
          return isLost;
        },
      }),
    );
    await play(source, random, 200);
    if (random.integer(3) === 0) workers[random.integer(workers.length)]?.channel.close();
  }
  isLossy = false;
  for (const { feed, heard } of workers) {
    const isGone = feed.status().state === 'closed';
    if (!isGone) {
      await until(() => {
        source.heartbeat();
        return feed.isFresh() && feed.position === source.position;
      }, 'it follows again');
    }
    assertSound(told, heard);
  }
  context.diagnostic(`${lost} messages were lost, ${source.sequence} commits told`);
  assert.ok(lost > 0);
});

/** Between two epochs: an unbroken run of the source's commits, from the position at which the epoch stands; never fresh by a proof of commits that did not come. */
function assertSound(told: readonly Heard[], heard: readonly Heard[]): void {
  const commits = told.flatMap(({ name, args }) =>
    name === 'commit' ? [args[0] as { xid: bigint; position: bigint }] : [],
  );
  const proofs = told.flatMap(({ name, args }, index) =>
    name === 'freshness' && Number.isFinite(args[0])
      ? [{ until: args[0] as number, before: told.slice(0, index).filter((one) => one.name === 'commit').length }]
      : [],
  );
  let next = -1; // the commit that has to come next; −1 while anything may have been missed
  for (const { name, args, position } of heard) {
    if (name === 'epoch') {
      next = commits.findIndex((commit) => commit.position > position);
      if (next < 0) next = commits.length;
    } else if (name === 'commit') {
      assert.equal((args[0] as { xid: bigint }).xid, commits[next]?.xid, 'the next commit');
      next++;
    } else if (name === 'freshness' && Number.isFinite(args[0])) {
      const proof = proofs.find(({ until: end }) => Math.abs(end - (args[0] as number)) < HEARTBEATS_APART_MS / 2);
      assert.ok(proof && next >= proof.before, `fresh with ${next} of ${proof?.before} commits`);
    }
  }
}

test('a lost message ends the epoch and the freshness at once, and the worker follows again', async (context) => {
  let losing = false;
  const { source, join } = createFanOutSetting(context);
  const { feed, heard } = join({ loses: () => losing });
  await until(() => feed.isFresh(), 'fresh');
  const waiting = feed.waitFor(source.position + 1_000n, 60_000);
  losing = true;
  source.commit();
  await new Promise(setImmediate);
  losing = false;
  const before = heard.length;
  source.commit();
  await until(() => heard.length > before, 'something is heard');
  assert.deepEqual(
    heard.slice(before, before + 2).map(({ name, args }) => [name, args[0]]),
    [
      ['freshness', Number.NEGATIVE_INFINITY],
      ['epoch', 2],
    ],
  );
  assert.equal(await waiting, false);
  await until(() => feed.isFresh(), 'fresh again');
  assert.ok(feed.epoch > 2);
  assert.equal(feed.position, source.position);
  assert.equal(feed.status().lastError?.code, 'ERR_FEED_STREAM');
  source.commit();
  await until(() => feed.position === source.position, 'it follows');
});

test('a worker that does not acknowledge is told no more than the bound, then starts anew', async (context) => {
  for (const bound of [{ unacknowledgedMax: 20 }, { unacknowledgedBytesMax: 30_000 }]) {
    let isHeldUp = false;
    const { source, join } = createFanOutSetting(context, bound);
    const { feed, heard, channel } = join({ delayMs: () => (isHeldUp ? 3_000 : 0) });
    await until(() => feed.isFresh(), 'fresh');
    const epoch = feed.epoch;
    isHeldUp = true;
    for (let i = 0; i < 500; i++) {
      source.commit();
      await new Promise(setImmediate);
    }
    assert.ok(channel.underWay > 5 && channel.underWay < 200, `${channel.underWay} messages are under way`);
    isHeldUp = false;
    await until(() => feed.position === source.position && feed.isFresh(), 'it has caught up');
    assert.ok(feed.epoch > epoch, 'by a new epoch');
    const run = heard.flatMap(({ name, args }) => (name === 'commit' ? [(args[0] as { xid: bigint }).xid] : []));
    assert.deepEqual(
      run,
      run.map((_, index) => 1_001n + BigInt(index)),
      'up to there in order',
    );
  }
});

test('what was told and is not known to be seen is suspect to those who come later', async (context) => {
  const { source, join } = createFanOutSetting(context);
  source.commit(false, 2_000n);
  source.commit(false, 2_001n);
  // 2001 was the newest id: a snapshot's list of running transactions does not have it, and it may be running.
  source.heartbeat({ xmin: 2_001n, xmax: 2_001n, running: new Set() });
  const { feed } = join();
  await until(() => feed.isFresh(), 'fresh');
  assert.deepEqual(feed.suspects, new Set([2_001n]));
  source.newEpoch();
  source.heartbeat({ xmin: 2_001n, xmax: 2_002n, running: new Set([2_001n]) });
  await until(() => feed.position === source.position, 'the epoch');
  assert.ok(feed.suspects.has(2_001n));
  source.heartbeat({ xmin: 2_002n, xmax: 2_002n, running: new Set() });
  source.advance();
  await until(() => feed.position === source.position, 'the snapshot');
  assert.equal(feed.suspects.size, 0);
});

test('what was told on another timeline is suspect to nobody: it is seen, or was lost with that timeline', async (context) => {
  const { source, join } = createFanOutSetting(context);
  const { feed } = join();
  await until(() => feed.isFresh(), 'fresh');
  source.commit(false, 5_000n); // told, and on no standby when the primary was lost
  source.newEpoch();
  source.xid = 1_500n;
  source.newEpoch('new timeline');
  source.advance();
  await until(() => feed.position === source.position, 'the epoch');
  const late = join();
  await until(() => late.feed.isFresh(), 'another');
  for (const each of [feed, late.feed]) assert.deepEqual(each.suspects, new Set([1_500n]));
});

test('a fan-out is made before its source starts, or it would not know what was told before', () => {
  assert.throws(() => new FanOut({ source: new DrivenFeed() }), { code: 'ERR_FEED_OPTIONS' });
});

test('a hello has in it what was told in the same turn, and nothing of that comes again', async (context) => {
  const { source, fanOut } = createFanOutSetting(context);
  const sent: Told[] = [];
  let reply: (message: unknown) => void = () => {};
  fanOut.add({
    send: (message) => sent.push(...deserialize((message as FanOutMessage).body)),
    onMessage(listener) {
      reply = listener;
      return () => {};
    },
    onClose: () => () => {},
  });
  source.commit();
  reply({ kind: 'feed', taken: 0, wantsHello: 'lost' });
  await new Promise(setImmediate);
  assert.deepEqual(
    sent.map(({ kind }) => kind),
    ['hello'],
  );
  source.commit();
  await new Promise(setImmediate);
  assert.deepEqual(
    sent.map(({ kind }) => kind),
    ['hello', 'commit', 'advance'],
  );
});

test('a table keeps the object that stands for it, from message to message, until its definition changes', async (context) => {
  const { source, join } = createFanOutSetting(context);
  const { feed, heard } = join();
  await until(() => feed.isFresh(), 'fresh');
  for (let i = 0; i < 6; i++) {
    source.commit(false, undefined, 2);
    await new Promise(setImmediate);
  }
  await until(() => feed.position === source.position, 'all have come');
  const relations = heard.flatMap(({ name, args }) =>
    name === 'commit' ? (args[0] as { changes: { relation: object }[] }).changes.map(({ relation }) => relation) : [],
  );
  assert.equal(relations.length, 12);
  assert.equal(new Set(relations).size, 3);
});

test('a listener that throws costs an epoch, and the worker follows again', async (context) => {
  const { source, join } = createFanOutSetting(context);
  const { feed } = join();
  await until(() => feed.isFresh(), 'fresh');
  const epoch = feed.epoch;
  const off = feed.on('commit', () => {
    throw new Error('no');
  });
  source.commit();
  await until(() => feed.epoch > epoch, 'an epoch');
  assert.equal(feed.isFresh(), false);
  off();
  await until(() => feed.isFresh() && feed.position === source.position, 'it follows again');
  assert.equal(feed.status().lastError?.code, 'ERR_FEED_LISTENER');
});

test('whoever waits has the supervisor look for the position', async (context) => {
  const { source, join } = createFanOutSetting(context);
  const { feed } = join();
  await until(() => feed.isFresh(), 'fresh');
  const waiting = feed.waitFor(source.position + 1n, 60_000);
  await until(() => source.nudges.length > 0, 'a nudge');
  assert.deepEqual(source.nudges, [source.position + 1n]);
  source.advance();
  assert.equal(await waiting, true);
});

test('the end of the supervisor ends freshness, waiting and following', async (context) => {
  const { source, join } = createFanOutSetting(context);
  const { feed, channel } = join();
  await until(() => feed.isFresh(), 'fresh');
  const waiting = feed.waitFor(source.position + 1n, 60_000);
  channel.close();
  assert.equal(feed.isFresh(), false);
  assert.equal(await waiting, false);
  assert.equal(feed.status().state, 'closed');
});
