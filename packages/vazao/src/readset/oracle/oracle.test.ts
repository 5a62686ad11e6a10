/**
 * The database is the oracle: no change of an answer may be missed. One miss fails the test, with the smallest case found.
 * `npm run soak:readset` runs the same for as long as wanted.
 *
 * VAZAO_ORACLE_CASES=100000 VAZAO_SEED=7 node packages/vazao/src/readset/oracle/oracle.test.ts
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase } from '../../testing/database.ts';
import { loadParser } from '../parse.ts';
import { type Miss, runGroup } from './generated.fuzz.ts';
import { measurePrecision } from './precision.fuzz.ts';
import { parseRecord } from './recorder.fuzz.ts';
import { shrinkMiss } from './shrink.fuzz.ts';
import { addTally, type ClassTally, createTally, describeClasses, describeTally, type Tally } from './tally.fuzz.ts';

const CASES = Number(process.env.VAZAO_ORACLE_CASES ?? 20_000);
const SEED = Number(process.env.VAZAO_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Connections at work at a time: while PostgreSQL plans for one, the other's answer is read. */
const LANES = 3;

test(`no change of an answer is missed (seed ${SEED})`, { timeout: Number.POSITIVE_INFINITY }, async (context) => {
  await loadParser();
  const total = createTally();
  const startedAt = performance.now();
  let next = 0;
  let miss: Miss | undefined;
  let shrunken = '';
  const lane = async (): Promise<void> => {
    await using database = await createTestDatabase();
    const client = await database.client();
    while (!miss && total.cases < CASES) {
      const tally: Tally = createTally();
      const found = await runGroup(
        client,
        SEED,
        next++,
        tally,
        () => miss !== undefined || total.cases + tally.cases >= CASES,
      );
      addTally(total, tally);
      if (found && !miss) {
        miss = found;
        shrunken = await shrinkMiss(client, found);
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  for (const line of describeTally(total, performance.now() - startedAt)) context.diagnostic(line);
  if (miss) assert.fail(`missed, with seed ${SEED}:\n${shrunken}`);
  assert.ok(total.cases >= CASES, 'as many cases were counted as were asked for');
  assert.ok(total.changed > total.cases / 50, 'the cases are worth something: answers change');
});

/** Classes of issue 3, of which at most this share of changes to other keys may wake an answer. */
const FALSE_ALARMS_MAX = 0.05;
const NARROW = [
  'point lookup',
  'foreign-key list',
  'join with aggregate on a key',
  'top-N on a key',
  'IN list',
  'range',
  'IN (SELECT) that is pinned',
] as const;

test(`changes of other keys leave answers alone (seed ${SEED})`, async (context) => {
  await loadParser();
  await using database = await createTestDatabase();
  const tally = await measurePrecision(await database.client(), SEED, 300);
  for (const line of describeClasses(tally)) context.diagnostic(line);
  for (const kind of NARROW) {
    const { falseAlarms, unchanged } = tally.classes[kind] as ClassTally;
    assert.ok(falseAlarms <= unchanged * FALSE_ALARMS_MAX, `${kind}: ${falseAlarms} of ${unchanged}`);
  }
});

test('rows are read as PostgreSQL prints them', () => {
  assert.deepEqual(parseRecord('(1,,"","a ""b"" \\\\",{1,2})'.replace('{1,2}', '"{1,2}"')), [
    '1',
    null,
    '',
    'a "b" \\',
    '{1,2}',
  ]);
});
