/** What a refused request costs under overload: nobody is looked up for it, and what the cache has is still given. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { cached, createPatientSetting } from '../../testing/cached-app.ts';
import { exchange } from '../../testing/raw-http.ts';
import { limitsPlugin } from './plugin.ts';

const BURST = 100;
const BURSTS_MAX = 100;

test('under overload a request is refused before anybody is looked up for it, and a hit is still a hit', async () => {
  let lookedUp = 0;
  const identify = {
    headers: ['x-user'],
    user: async () => {
      lookedUp++;
      return { id: 'ana' };
    },
  };
  await using server = await createPatientSetting({ plugin: { identify } });
  const { app, platform, read } = server;
  // Nobody waits in a burst for longer than the work itself takes, so that it is soon told for what it is.
  await app.register(limitsPlugin, { admission: { inFlightMax: 4, waitMaxMs: 5, waitTargetMs: 5 } });
  app.get('/um', cached, read);
  app.get('/slow', async () => {
    await delay(2);
    return { ok: true };
  });
  const responded: number[] = [];
  app.addHook('onResponse', async (_request, reply) => void responded.push(reply.raw.statusCode));
  const origin = await platform.listen();
  assert.equal(await (await fetch(`${origin}/um`)).text(), 'um');
  responded.length = 0;
  lookedUp = 0;

  let asked = 0;
  const statuses: number[] = [];
  const hits: (string | null)[] = [];
  const slow = (user: number): string => `GET /slow HTTP/1.1\r\nHost: a\r\nX-User: ${user}\r\n\r\n`;
  for (let i = 0; i === 0 || (i < BURSTS_MAX && lookedUp > asked * 0.8); i++) {
    const burst = Array.from({ length: BURST }, (_, n) => exchange(origin, slow(asked + n)));
    asked += BURST;
    hits.push((await fetch(`${origin}/um`)).headers.get('cache-status'));
    for (const { answers } of await Promise.all(burst)) {
      const { status, headers, body } = answers[0] ?? assert.fail('no answer');
      statuses.push(status);
      if (status === 200) continue;
      assert.deepEqual([status, JSON.parse(body).code, headers.connection], [503, 'ERR_LIMIT_OVERLOAD', 'keep-alive']);
      assert.match(headers['retry-after'] ?? '', /^[1-5]$/);
    }
  }
  const refused = statuses.filter((status) => status === 503).length;
  assert.ok(lookedUp <= asked * 0.8, `${lookedUp} of ${asked} were looked up`);
  assert.ok(lookedUp >= asked - refused, 'everybody who was let in was');
  assert.deepEqual(app.limits?.figures().refused, { ERR_LIMIT_OVERLOAD: refused });
  assert.equal(app.limits?.figures().classes?.read.refused, refused);
  for (const hit of hits) assert.match(hit ?? '', /; hit/);
  assert.deepEqual(responded.toSorted(), statuses.toSorted(), 'whoever counts answers has heard of each');
});
