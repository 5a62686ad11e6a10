/**
 * A history of writes, reads and faults of a replica. Two registers are written together, with the same growing version.
 * Each read shows both, by two statements, and
 *   - they are equal: an answer is one moment;
 *   - no read shows less than what was shown, or known to be written, before it began.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../feed/recorder.ts';
import { createRandom } from '../testing/random.ts';
import { createReplicatedDatabase } from '../testing/replicated-database.ts';
import { trackWrites } from './context.ts';

const PAIRS = 6;
const TURNS = Number(process.env.VAZAO_TURNS ?? 60);

test('no reader goes back, whatever the replica does', { timeout: 600_000 }, async (context) => {
  const random = createRandom(context);
  await using base = await createReplicatedDatabase();
  const { cluster, db, cache, feed, writer } = base;
  const replica = cluster.node('replica');
  await writer.query('update t set v = 0');
  await base.settled();

  const floors = new Array<number>(PAIRS).fill(0);
  const versions = new Array<number>(PAIRS).fill(0);
  const outcomes: Record<string, number> = {};
  const count = (name: string): void => {
    outcomes[name] = (outcomes[name] ?? 0) + 1;
  };
  let paused = false;

  const write = async (pair: number): Promise<void> => {
    const version = (versions[pair] as number) + 1;
    versions[pair] = version;
    const { position } = await trackWrites(() =>
      db.query('update t set v = $2 where id in ($1, $1 + 100) and v < $2', [pair + 1, version]),
    );
    if (await feed.waitFor(position, 5_000)) floors[pair] = Math.max(floors[pair] as number, version);
  };

  const readTwice = async (id: number): Promise<readonly number[]> => {
    const first = (await db.query('select v from t where id = $1', [id])).rows[0].v;
    if (random.next() < 0.3) await new Promise((resolve) => setTimeout(resolve, random.integer(8)));
    return [first, (await db.query('select v from t where id = $1', [id + 100])).rows[0].v];
  };

  const read = async (pair: number): Promise<void> => {
    const key = `/${pair}`;
    const floor = floors[pair] as number;
    const entry = cache.get(key);
    let shown: readonly number[];
    if (entry && cache.isFresh() && cache.isGood(entry)) {
      shown = entry.value as readonly number[];
      count('hit');
    } else if (cache.isFilling(key)) return;
    else {
      try {
        const { value, outcome, snapshot } = await base.fill(key, () => readTwice(pair + 1));
        shown = value;
        count(`${snapshot && 'replayedTo' in snapshot ? 'replica' : 'primary'}, ${outcome}`);
      } catch (error) {
        if ((error as { code?: string }).code !== 'ERR_DB_REPLICA_CONFLICT') throw error;
        count('conflict');
        return;
      }
    }
    assert.equal(shown[0], shown[1], `one moment: ${shown}`);
    assert.ok((shown[0] as number) >= floor, `pair ${pair} showed ${shown[0]} after ${floor}`);
    floors[pair] = Math.max(floors[pair] as number, shown[0] as number);
  };

  const faults: readonly (() => Promise<void>)[] = [
    async () => {
      if (!paused) await cluster.pauseReplay(replica);
      paused = true;
    },
    async () => {
      await cluster.resumeReplay(replica);
      paused = false;
    },
    () => cluster.setApplyDelay(replica, random.pick([1, 3, 20])),
    () => cluster.setApplyDelay(replica, 0),
    async () => {
      await writer.query('update t set v = v where id > 900');
      await writer.query('vacuum (freeze) t');
    },
    async () => {
      await replica.kill();
      await replica.start();
      paused = false;
    },
  ];

  /** All faults are mended, and the replica answers: no history is without it, whatever was drawn. */
  const untilUsed = async (): Promise<void> => {
    await cluster.resumeReplay(replica);
    await cluster.setApplyDelay(replica, 0);
    paused = false;
    const before = outcomes['replica, stored'] ?? 0;
    await until(async () => {
      cache.purge('/0');
      await read(0);
      return (outcomes['replica, stored'] ?? 0) > before;
    }, 'the replica is used again');
  };

  for (let turn = 0; turn < TURNS; turn++) {
    const fault = random.next() < 0.3 ? random.pick(faults)() : undefined;
    const readers = Array.from({ length: 8 }, async () => {
      for (let n = 0; n < 12; n++) await read(random.integer(PAIRS));
    });
    const writers = Array.from({ length: 2 }, async () => {
      for (let n = 0; n < 6; n++) {
        await new Promise((resolve) => setTimeout(resolve, random.integer(8)));
        await write(random.integer(PAIRS));
      }
    });
    await Promise.all([...readers, ...writers, fault]);
    // At rest, each entry is what the primary says.
    if (turn % 10 === 9) {
      await base.settled();
      for (let pair = 0; pair < PAIRS; pair++) {
        const entry = cache.get(`/${pair}`);
        const { rows } = await writer.query('select v from t where id in ($1, $1 + 100)', [pair + 1]);
        if (entry && cache.isGood(entry))
          assert.deepEqual(
            entry.value,
            rows.map(({ v }) => v),
          );
      }
      await untilUsed();
    }
  }
  context.diagnostic(JSON.stringify(outcomes));
});
