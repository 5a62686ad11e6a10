/**
 * What an attacker may send, over raw sockets, against a server whose routes are cached. The oracle is the same application
 * without a cache: both must answer alike, and whoever asks next, on a connection of its own, must get the answer that the
 * uncached one gives.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { createTwins, type Twins } from '../../packages/vazao/src/testing/cached-and-plain.ts';
import { exchange, open, read } from '../../packages/vazao/src/testing/raw-http.ts';
import { comparable, comparableInTime } from './comparable.ts';
import { MALFORMED } from './malformed.ts';
import { TRICKS } from './tricks.ts';

const SCHEMA = `create table itens (id int primary key, nome text not null);
  insert into itens values (1, 'um'), (2, 'dois');`;

function register(
  app: FastifyInstance,
  query: (sql: string, values?: unknown[]) => Promise<unknown[]>,
  config: object,
): void {
  const item = (id: string): Promise<unknown[]> => query('select * from itens where id::text = $1', [id]);
  app.get('/itens/:id', { config }, async (request) => item((request.params as { id: string }).id));
  // What is behind a prefix, as an application that serves pages would have it.
  app.get('/conta', { config }, async (request) => ({
    user: request.user?.id ?? 'nobody',
    itens: await query('select 1'),
  }));
  app.get('/conta/*', { config }, async (request, reply) =>
    reply.code(404).send({ user: request.user?.id ?? 'nobody' }),
  );
  app.get('/anfitriao', { config }, async (request) => ({ host: request.host, itens: await query('select 1') }));
  app.get('/busca', { config }, async (request) => ({ asked: request.query, itens: await query('select 1') }));
  app.get('/reflete', { config }, async (request, reply) => {
    const { v } = request.query as { v?: string };
    reply.header('x-reflete', encodeURI(String(v ?? '')));
    return query('select 1');
  });
  app.get('/cru', { config }, async (request, reply) => {
    reply.header('x-cru', String((request.query as { v?: string }).v ?? ''));
    return query('select 1');
  });
  app.get('/segredo', async () => 'SEGREDO');
  app.post('/eco', async (request) => ({
    eco: request.body,
    own: Object.keys((request.body ?? {}) as object),
    polluted: isPolluted(),
  }));
  app.delete('/itens/:id', async (request) => {
    await query('delete from itens where id::text = $1', [(request.params as { id: string }).id]);
    return 'APAGADO';
  });
  // Where forms are read, and alone there: their parser is not the platform's.
  app.register(async (scope) => {
    const parse = (_request: unknown, body: unknown, done: (error: null, parsed: unknown) => void): void =>
      done(null, Object.fromEntries(new URLSearchParams(String(body))));
    scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, parse);
    scope.post('/itens/:id', async () => 'POSTADO');
  });
}

function isPolluted(): boolean {
  return 'polluted' in {} || 'polluted' in [] || 'polluted' in Object;
}

const VICTIMS = [
  'GET /itens/1 HTTP/1.1\r\nHost: vitima\r\n\r\n',
  'GET /conta HTTP/1.1\r\nHost: vitima\r\nX-User: vitima\r\n\r\n',
  'GET /conta HTTP/1.1\r\nHost: vitima\r\n\r\n',
  'GET /anfitriao HTTP/1.1\r\nHost: vitima\r\n\r\n',
];

describe('bad input', () => {
  let twins: Twins;
  /** What the victims got before anybody attacked. */
  const expected: unknown[] = [];

  before(async () => {
    twins = await createTwins(SCHEMA, register);
    for (const victim of VICTIMS) {
      const ours = await exchange(twins.cached, victim);
      assert.deepEqual(comparable(ours), comparable(await exchange(twins.plain, victim)), victim);
      expected.push(comparableInTime(ours));
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
      assert.equal(isPolluted(), false);
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
});
