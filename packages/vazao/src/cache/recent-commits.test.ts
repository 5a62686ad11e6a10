import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Commit, type Snapshot, sees } from '../feed/index.ts';
import type { Relation } from '../readset/index.ts';
import { createRandom } from '../testing/random.ts';
import { RecentCommits } from './recent-commits.ts';

const relation: Relation = { oid: 1, schema: 'public', name: 't', columns: ['v'] };

function commit(sequence: number, xid: number, characters = 10): Commit {
  const changes = [{ kind: 'insert' as const, relation, new: ['x'.repeat(characters)] }];
  const position = BigInt(sequence);
  return { sequence, position, xid: BigInt(xid), committedAtMs: 0, receivedAtMs: 0, changes, schemaChanged: false };
}

test('large rows are forgotten by their bytes, and a commit beyond the bound at once', () => {
  const recent = new RecentCommits(0n, { commitsMax: 1_000, bytesMax: 10_000 });
  for (let n = 1; n <= 10; n++) recent.add(commit(n, n, 2_000));
  assert.ok(recent.size >= 3 && recent.size <= 5, `${recent.size} are remembered`);
  assert.ok(!recent.covers(0));
  recent.add(commit(11, 11, 50_000));
  assert.equal(recent.size, 0);
  assert.ok(recent.covers(11) && !recent.covers(10));
});

test('after a commit beyond the bound fills are covered again as soon as a snapshot sees it, without another commit', () => {
  const recent = new RecentCommits(0n, { commitsMax: 1_000, bytesMax: 10_000 });
  recent.add(commit(1, 1, 50_000));
  recent.observe({ xmin: 1n, xmax: 2n, running: new Set([1n]) });
  assert.ok(!recent.covers(recent.seenUpTo), 'snapshots may still miss it');
  recent.observe({ xmin: 2n, xmax: 2n, running: new Set() });
  assert.ok(recent.covers(recent.seenUpTo));
  recent.add(commit(2, 2, 50_000));
  recent.restart(2n);
  recent.observe({ xmin: 3n, xmax: 3n, running: new Set() });
  assert.ok(recent.covers(recent.seenUpTo), 'also where the feed began anew in between');
});

/**
 * Transactions end in the order of their delivery or in any other. The promise: a fill that `covers` is told of every
 * delivered commit that its snapshot did not see.
 */
test('no commit that a covered fill did not see is missing', (context) => {
  const { seed } = createRandom(context);
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('deliver' as const), characters: fc.nat(3_000) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('end' as const), which: fc.nat(20) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('observe' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('begin' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('complete' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('adopt' as const), which: fc.nat(1_000) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 80 }),
      fc.integer({ min: 1, max: 8 }),
      fc.nat(3),
      (steps, commitsMax, retainedMax) => {
        const recent = new RecentCommits(0n, { commitsMax, bytesMax: 20_000, retainedMax });
        const delivered: Commit[] = [];
        /** Delivered, and running to every snapshot. */
        const running = new Set<bigint>();
        const fills: { neededAfter: number; snapshot: Snapshot }[] = [];
        const take = (): Snapshot => ({ xmin: 1n, xmax: BigInt(delivered.length + 1), running: new Set(running) });
        for (const one of steps) {
          switch (one.kind) {
            case 'deliver': {
              const next = commit(delivered.length + 1, delivered.length + 1, one.characters);
              delivered.push(next);
              running.add(next.xid);
              recent.add(next);
              break;
            }
            case 'end': {
              const list = [...running];
              const xid = list[one.which % list.length];
              if (xid !== undefined) running.delete(xid);
              break;
            }
            case 'observe':
              recent.observe(take());
              recent.prune(Math.min(recent.seenUpTo, ...fills.map((fill) => fill.neededAfter)));
              break;
            case 'adopt': {
              // Valid up to some position, computed in a snapshot that nothing else is known of.
              const validAt = BigInt(one.which % (delivered.length + 1));
              if (recent.coveredFrom > validAt) break;
              const replayed = [...recent.unseenBy({ replayedTo: validAt }, ({ position }) => position <= validAt)];
              assert.deepEqual(replayed, delivered.slice(Number(validAt)));
              break;
            }
            case 'restart':
              recent.restart(BigInt(delivered.length));
              fills.length = 0;
              running.clear();
              break;
            case 'begin':
              fills.push({ neededAfter: recent.seenUpTo, snapshot: take() });
              break;
            case 'complete': {
              const fill = fills.shift();
              if (!fill || !recent.covers(fill.neededAfter)) break;
              const told = new Set(
                [...recent.unseenBy(fill.snapshot, (commit) => commit.sequence <= fill.neededAfter)].map(
                  ({ sequence }) => sequence,
                ),
              );
              for (const { xid, sequence } of delivered) {
                if (!sees(fill.snapshot, xid)) assert.ok(told.has(sequence), `commit ${sequence} is missing`);
              }
            }
          }
        }
      },
    ),
    { seed, numRuns: 5_000 },
  );
});
