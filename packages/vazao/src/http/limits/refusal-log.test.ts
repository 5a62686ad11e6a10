import assert from 'node:assert/strict';
import { test } from 'node:test';
import Fastify from 'fastify';
import { exchange } from '../../testing/raw-http.ts';
import { limitsPlugin } from './index.ts';
import { REFUSALS_TOLD_AFTER_MS, RefusalLog, type RefusedSum } from './refusal-log.ts';

test('what was refused is logged in one line: the reasons, how often, and whom most; the rest when the server closes', async (context) => {
  const lines: string[] = [];
  const app = Fastify({ logger: { level: 'warn', stream: { write: (line) => lines.push(line) } } });
  context.after(() => app.close());
  await app.register(limitsPlugin, { urlMaxBytes: 100, rates: { anonymous: { requests: 1, window: '1h' } } });
  app.get('/', async () => 'ok');
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  const statuses = [];
  for (const path of ['/', '/', '/', `/${'x'.repeat(200)}`]) statuses.push((await fetch(origin + path)).status);
  assert.deepEqual(statuses, [200, 429, 429, 414]);
  const { answers } = await exchange(origin, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
  assert.equal(answers[0]?.status, 400);
  assert.deepEqual(lines, []);
  await app.close();
  const told = lines.map((line) => JSON.parse(line)).filter(({ refused }) => refused !== undefined);
  assert.deepEqual(
    told.map(({ level, msg, refused }) => ({ level, msg, refused })),
    [
      {
        level: 40,
        msg: 'requests were refused',
        refused: [
          { code: 'ERR_LIMIT_RATE', count: 2, addresses: { '127.0.0.1': 2 } },
          { code: 'ERR_LIMIT_URL', count: 1, addresses: { '127.0.0.1': 1 } },
          { code: 'ERR_LIMIT_MALFORMED', count: 1, addresses: { '127.0.0.1': 1 } },
        ],
      },
    ],
  );
});

test('a flood of addresses takes bounded memory and one line; the next refusals begin another', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const told: (readonly RefusedSum[])[] = [];
  const log = new RefusalLog((refused) => told.push(refused));
  for (let n = 0; n < 5_000; n++) log.note('ERR_LIMIT_RATE', `10.0.${n >> 8}.${n & 255}`);
  for (let n = 0; n < 7; n++) for (let times = 0; times <= n; times++) log.note('ERR_LIMIT_RATE', `10.0.0.${n}`);
  log.note('ERR_LIMIT_RATE', 'too late to be counted apart');
  context.mock.timers.tick(REFUSALS_TOLD_AFTER_MS - 1);
  assert.equal(told.length, 0);
  context.mock.timers.tick(1);
  const addresses = { '10.0.0.6': 8, '10.0.0.5': 7, '10.0.0.4': 6, '10.0.0.3': 5, '10.0.0.2': 4 };
  assert.deepEqual(told, [[{ code: 'ERR_LIMIT_RATE', count: 5_029, addresses }]]);
  context.mock.timers.tick(REFUSALS_TOLD_AFTER_MS);
  assert.equal(told.length, 1);
  log.note('ERR_LIMIT_URL', '10.0.0.1');
  context.mock.timers.tick(REFUSALS_TOLD_AFTER_MS);
  assert.deepEqual(told[1], [{ code: 'ERR_LIMIT_URL', count: 1, addresses: { '10.0.0.1': 1 } }]);
});
