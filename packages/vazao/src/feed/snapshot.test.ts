import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../testing/random.ts';
import { FeedError } from './errors.ts';
import { formatLsn, parseLsn } from './lsn.ts';
import { formatPosition, parsePosition, positionAt } from './position.ts';
import { intersectSnapshots, parseSnapshot, type Snapshot, sees } from './snapshot.ts';
import { Suspects } from './suspects.ts';

test('a snapshot sees what ended before it, and nothing that ran or came later', () => {
  const snapshot = parseSnapshot('10:15:11,13');
  assert.deepEqual(
    [9n, 10n, 11n, 12n, 13n, 14n, 15n, 99n].filter((xid) => sees(snapshot, xid)),
    [9n, 10n, 12n, 14n],
  );
});

test('a snapshot without running transactions has an empty list', () => {
  assert.deepEqual(parseSnapshot('4294967301:4294967301:'), {
    xmin: 4294967301n,
    xmax: 4294967301n,
    running: new Set(),
  });
});

test('two snapshots intersected see what both see', (context) => {
  const seeded = createRandom(context);
  const random = (): Snapshot => {
    const xmin = BigInt(seeded.integer(20));
    const running = [0n, 1n, 2n, 3n].map((n) => xmin + n * 2n).filter(() => seeded.next() < 0.5);
    return { xmin, xmax: xmin + BigInt(seeded.integer(10)), running: new Set(running) };
  };
  for (let round = 0; round < 500; round++) {
    const [a, b] = [random(), random()];
    const both = intersectSnapshots(a, b);
    for (let xid = 0n; xid < 40n; xid++) assert.equal(sees(both, xid), sees(a, xid) && sees(b, xid));
  }
  assert.throws(() => intersectSnapshots(random(), { replayedTo: 1n }), TypeError);
});

test('what is no snapshot is refused', () => {
  for (const text of ['', '1:2', 'a:b:', '1:2:3;4']) assert.throws(() => parseSnapshot(text), FeedError);
});

test('positions survive the round trip', () => {
  for (const text of ['0/0', '0/1B88498', '16/B374D848', 'FFFFFFFF/FFFFFFFF'])
    assert.equal(formatLsn(parseLsn(text)), text);
  assert.throws(() => parseLsn('16-B3'), FeedError);
});

test('a suspect is dropped by the first snapshot that sees it, and a set once read stays as it was', () => {
  const suspects = new Suspects();
  suspects.add(parseSnapshot('10:15:11,13'));
  const before = suspects.set;
  suspects.clear(parseSnapshot('11:16:11'));
  assert.deepEqual([...suspects.set], [11n]);
  assert.deepEqual([...before], [11n, 13n]);
  suspects.clear(parseSnapshot('16:16:'));
  assert.equal(suspects.set.size, 0);
});

test('positions on a later timeline are later, and come back as they were written', () => {
  const before = parsePosition('00000001:FFFFFFFF/FFFFFFFF');
  const after = parsePosition('00000002:0/16B3748');
  assert.ok(after > before);
  assert.equal(after, positionAt(2, parseLsn('0/16B3748')));
  assert.equal(formatPosition(after), '0/16B3748');
  assert.equal(formatPosition(before), 'FFFFFFFF/FFFFFFFF');
  for (const bad of ['0/16B3748', '1:0/16B3748', '00000001:', '']) assert.throws(() => parsePosition(bad), FeedError);
});
