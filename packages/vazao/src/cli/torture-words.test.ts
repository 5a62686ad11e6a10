import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTortureWords } from './torture-words.ts';

test('words of vazao torture', () => {
  assert.deepEqual(parseTortureWords(['conectades']), {
    application: 'conectades',
    minutes: 10,
    seed: undefined,
    faults: undefined,
    mutations: undefined,
    json: undefined,
    secondFeed: undefined,
    goals: false,
  });
  const words = ['conectades', '--minutes', '0.5', '--seed=7', '--faults', 'failover, host-killed', '--json', 'a.json'];
  assert.deepEqual(parseTortureWords(words), {
    application: 'conectades',
    minutes: 0.5,
    seed: 7,
    faults: ['failover', 'host-killed'],
    mutations: undefined,
    json: 'a.json',
    secondFeed: undefined,
    goals: false,
  });
  assert.equal(parseTortureWords(['--minutes', '10']).application, undefined);
  assert.equal(parseTortureWords(['--goals']).goals, true);
  assert.equal(parseTortureWords(['--second-feed', 'stream']).secondFeed, 'stream');
  assert.deepEqual(parseTortureWords(['x', '--no-faults', '--mutations']).faults, []);
  assert.equal(parseTortureWords(['x', '--mutations']).mutations, 'all');
  assert.equal(parseTortureWords(['x', '--mutation', 'skip-epoch']).mutations, 'skip-epoch');
});

const REFUSED: readonly [words: string[], message: RegExp][] = [
  [['a', 'b'], /^One word too many: b\./],
  [['a', '--minuts', '1'], /^`vazao torture` has no option --minuts\. Did you mean --minutes\?$/],
  [['a', '--minutes', '0'], /^--minutes is "0"; allowed is a number from 0\.2 to 1440\.$/],
  [['a', '--seed', '1.5'], /^--seed is "1\.5"; allowed is a whole number/],
  [['a', '--second-feed', 'app'], /^--second-feed is "app"; allowed is wal, outbox, stream\.$/],
  [['a', '--seed', ''], /^--seed is ""/],
  [['a', '--no-faults', '--faults', 'failover'], /exclude each other/],
  [['a', '--mutation', 'x', '--mutations'], /exclude each other/],
  [['a', '--mutation', 'x', '--goals'], /^--goals is of runs whose rules hold/],
];
for (const [words, message] of REFUSED) {
  test(`refuses: vazao torture ${words.join(' ')}`, () => {
    assert.throws(() => parseTortureWords(words), { name: 'UsageError', message });
  });
}
