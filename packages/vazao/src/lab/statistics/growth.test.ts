/** Servers with known behaviour: what leaks is found, what is well passes 20 times out of 20, whatever its memory looks like. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findDegradation, findLeak, type MemorySample } from './growth.ts';
import { createUniform } from './random.ts';

const MB = 1e6;
const RATE = 200;

interface Server {
  readonly leakPerRequest?: number;
  /** What caches and compiled code come to, and how many seconds until 63 % of it are there. */
  readonly warmUp?: { readonly bytes: number; readonly seconds: number };
  /** Garbage between two collections. */
  readonly teeth?: { readonly bytes: number; readonly seconds: number };
  readonly noiseBytes?: number;
  readonly seconds?: number;
}

function sample(server: Server, seed: number): MemorySample[] {
  const uniform = createUniform(seed);
  const { leakPerRequest = 0, warmUp, teeth, noiseBytes = 0.3 * MB, seconds = 60 } = server;
  const phase = uniform();
  return Array.from({ length: seconds + 1 }, (_, atS) => {
    const grown = warmUp ? warmUp.bytes * (1 - Math.exp(-atS / warmUp.seconds)) : 0;
    const tooth = teeth ? teeth.bytes * ((atS / teeth.seconds + phase) % 1) : 0;
    const noise = noiseBytes * (uniform() - 0.5);
    return { atS, requests: RATE * atS, bytes: 60 * MB + leakPerRequest * RATE * atS + grown + tooth + noise };
  });
}

const TEETH = { bytes: 18 * MB, seconds: 4.3 };
const CLEAN: Readonly<Record<string, Server>> = {
  quiet: {},
  'saw-teeth of 18 MB': { teeth: TEETH },
  'long saw-teeth': { teeth: { bytes: 30 * MB, seconds: 17 }, seconds: 120 },
  'teeth of a third of the time': { teeth: { bytes: 30 * MB, seconds: 20 } },
  'warm-up of 25 MB': { warmUp: { bytes: 25 * MB, seconds: 8 } },
  'slow warm-up with saw-teeth': { warmUp: { bytes: 40 * MB, seconds: 12 }, teeth: TEETH },
  'much noise': { noiseBytes: 10 * MB },
};

for (const [name, server] of Object.entries(CLEAN)) {
  test(`a clean server passes 20 of 20: ${name}`, () => {
    const verdicts = Array.from({ length: 20 }, (_, seed) => findLeak(sample(server, seed + 1)));
    assert.deepEqual(
      verdicts.filter(({ verdict }) => verdict !== 'no growth shown').map(({ sentence }) => sentence),
      [],
    );
  });
}

test('1 KB a request is found 20 times out of 20, under saw-teeth and warm-up, and measured', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const found = findLeak(
      sample({ leakPerRequest: 1_024, teeth: TEETH, warmUp: { bytes: 10 * MB, seconds: 4 }, seconds: 180 }, seed),
    );
    assert.equal(found.verdict, 'grows', `seed ${seed}: ${found.sentence}`);
    assert.ok(Math.abs((found.bytesPerRequest as number) - 1_024) < 250, `seed ${seed}: ${found.bytesPerRequest}`);
    assert.match(found.sentence, /^grows by (1\.\d\d KB|\d{3} B) a request \(95 %: .* to .*\)$/);
  }
});

test('what counts as nothing is the caller’s: 1 KB a request is well where 2 KB are allowed', () => {
  const series = sample({ leakPerRequest: 1_024 }, 1);
  assert.equal(findLeak(series).verdict, 'grows');
  assert.equal(findLeak(series, { bytesPerRequestMin: 2_048 }).verdict, 'no growth shown');
});

test('without requests the growth is one of time, and has to be a share of the level', () => {
  const bare = (server: Server): MemorySample[] => sample(server, 1).map(({ atS, bytes }) => ({ atS, bytes }));
  const found = findLeak(bare({ leakPerRequest: 1_024 }));
  assert.equal(found.verdict, 'grows');
  assert.equal(found.bytesPerRequest, undefined);
  assert.match(found.sentence, /MB an hour/);
  assert.equal(findLeak(bare({ leakPerRequest: 50 })).verdict, 'no growth shown');
});

test('too few samples are no verdict, neither way', () => {
  assert.equal(findLeak(sample({ leakPerRequest: 5_000, seconds: 20 }, 1)).verdict, 'too short');
  assert.equal(findLeak([]).verdict, 'too short');
  assert.equal(findDegradation([]).verdict, 'too short');
});

test('the least leak that would have been seen is told, and three times that is seen', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const server = { noiseBytes: 2 * MB, teeth: TEETH, seconds: 180 };
    const detectable = findLeak(sample(server, seed)).detectableBytesPerRequest as number;
    assert.ok(detectable > 100 && detectable < 600, `seed ${seed}: ${detectable}`);
    const leaking = findLeak(sample({ ...server, leakPerRequest: 3 * detectable }, seed));
    assert.equal(leaking.verdict, 'grows', `seed ${seed}: ${leaking.sentence}`);
  }
});

test('latency that triples is a degradation; one that only varies, or settles, is none, 20 times out of 20', () => {
  const p99 = (seed: number, at: (share: number) => number) => {
    const uniform = createUniform(seed);
    // A p99 of a second has a long tail: log-normal with σ = 0.3.
    const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return Array.from({ length: 300 }, (_, atS) => ({ atS, value: at(atS / 300) * Math.exp(0.3 * normal()) }));
  };
  for (let seed = 1; seed <= 20; seed++) {
    assert.equal(findDegradation(p99(seed, (share) => 20 * (1 + 2 * share))).verdict, 'grows', `seed ${seed}`);
    assert.equal(findDegradation(p99(seed, () => 20)).verdict, 'no growth shown', `seed ${seed}`);
    const settling = (share: number): number => 30 - 12 * Math.exp(-6 * share);
    assert.equal(findDegradation(p99(seed, settling)).verdict, 'no growth shown', `seed ${seed}`);
  }
});

test('latency that gets a little worse is none: 5 %, or a tenth of a millisecond', () => {
  const rising = (from: number, by: number) =>
    Array.from({ length: 90 }, (_, atS) => ({ atS, value: from + (by * atS) / 90 }));
  assert.equal(findDegradation(rising(100, 5)).verdict, 'no growth shown');
  assert.equal(findDegradation(rising(0.2, 0.1)).verdict, 'no growth shown');
  assert.equal(findDegradation(rising(100, 30)).verdict, 'grows');
});
