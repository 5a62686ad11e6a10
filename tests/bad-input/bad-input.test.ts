/**
 * What an attacker may send, over raw sockets, against a server whose routes are cached. The oracle is the same application
 * without a cache: both must answer alike, and whoever asks next, on a connection of its own, must get the answer that the
 * uncached one gives. Once the oracle is Fastify without the plugin, and once both are `vazao start`, with all its plugins.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { createTwins, type Twins } from '../../packages/vazao/src/testing/cached-and-plain.ts';
import { exchange, open, read } from '../../packages/vazao/src/testing/raw-http.ts';
import { register } from './application.ts';
import { comparable, comparableInTime } from './comparable.ts';
import { MALFORMED } from './malformed.ts';
import { startTwins } from './start-twins.ts';
import { TRICKS } from './tricks.ts';

const VICTIMS = [
  'GET /itens/1 HTTP/1.1\r\nHost: vitima\r\n\r\n',
  'GET /conta HTTP/1.1\r\nHost: vitima\r\nX-User: vitima\r\n\r\n',
  'GET /conta HTTP/1.1\r\nHost: vitima\r\n\r\n',
  'GET /anfitriao HTTP/1.1\r\nHost: vitima\r\n\r\n',
];

/** Tells whether prototypes have been changed in its process. */
const POLLUTED = 'POST /eco HTTP/1.1\r\nHost: vitima\r\nContent-Length: 0\r\n\r\n';

const SCHEMA = readFileSync(new URL('./migrations/0001_itens.sql', import.meta.url), 'utf8');
describe('bad input to the plugin', () => attack(() => createTwins(SCHEMA, register)));
describe('bad input to `vazao start`', () => attack(startTwins));

function attack(createOrStart: () => Promise<Twins>): void {
  let twins: Twins;
  /** What the victims got before anybody attacked. */
  const expected: unknown[] = [];

  before(async () => {
    twins = await createOrStart();
    for (const victim of VICTIMS) {
      const ours = await exchange(twins.cached, victim);
      assert.deepEqual(comparable(ours), comparable(await exchange(twins.plain, victim)), victim);
      expected.push(comparableInTime(ours));
      const { answers } = await exchange(twins.cached, victim);
      assert.match(answers[0]?.headers['cache-status'] ?? '', /^vazao; hit/, victim);
    }
  });
  after(async () => twins?.[Symbol.asyncDispose]());

  /** Twice: what is asked first is computed, and then it is in the cache. */
  async function assertVictimsUnharmed(also: readonly string[] = []): Promise<void> {
    for (let round = 0; round < 2; round++) {
      for (const [index, victim] of VICTIMS.entries())
        assert.deepEqual(comparableInTime(await exchange(twins.cached, victim)), expected[index], victim);
      for (const victim of also) {
        const [ours, oracle] = await Promise.all([exchange(twins.cached, victim), exchange(twins.plain, victim)]);
        assert.deepEqual(comparable(ours), comparable(oracle), victim);
      }
    }
  }

  for (const { name, bytes, statuses, closes } of MALFORMED) {
    test(`malformed: ${name}`, async () => {
      // One answer more than there may be, so that the end of the connection is waited for.
      const more = statuses.length + 1;
      const [ours, oracle] = await Promise.all([
        exchange(twins.cached, bytes, more),
        exchange(twins.plain, bytes, more),
      ]);
      assert.deepEqual(
        ours.answers.map(({ status }) => status),
        statuses,
      );
      assert.equal(ours.closed, closes);
      assert.deepEqual(comparable(ours), comparable(oracle));
      assert.doesNotMatch(ours.bytes, /SEGREDO/);
      for (const { status, headers, body } of ours.answers) {
        if (headers['content-type']?.startsWith('application/problem+json'))
          assert.equal(JSON.parse(body).status, status);
      }
      const victim = VICTIMS[0] as string;
      assert.deepEqual(comparableInTime(await exchange(twins.cached, victim)), expected[0]);
    });
  }

  for (const { name, requests, victims, never, always } of TRICKS) {
    test(`trick: ${name}`, async () => {
      for (const request of requests) {
        // What was computed first, and the hit after it.
        for (let round = 0; round < 2; round++) {
          const [ours, oracle] = await Promise.all([exchange(twins.cached, request), exchange(twins.plain, request)]);
          assert.deepEqual(comparable(ours), comparable(oracle), request);
          if (never) assert.doesNotMatch(ours.bytes, never);
          if (always) assert.match(ours.bytes, always);
        }
      }
      await assertVictimsUnharmed(victims);
      assert.match((await exchange(twins.cached, POLLUTED)).bytes, /"polluted":false/);
    });
  }

  test('slow: a request that never ends holds no other up, and is cut off', async () => {
    const slow = Array.from({ length: 20 }, () => open(twins.cached));
    const ends = slow.map((socket, index) => {
      socket.write(
        index % 2
          ? 'GET /itens/1 HTTP/1.1\r\nHost: a\r\n'
          : 'POST /eco HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n',
      );
      return read(socket, 2);
    });
    await assertVictimsUnharmed();
    for (const { answers, closed } of await Promise.all(ends))
      assert.deepEqual([answers[0]?.status, closed], [408, true]);
  });
}
