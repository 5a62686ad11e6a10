import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Client, get, startHits } from '../../testing/hits-app.ts';
import { exchange } from '../../testing/raw-http.ts';

test('hits are counted and not logged; what Fastify answers is logged with its address and its status', async () => {
  const stream = new PassThrough();
  const written = text(stream);
  {
    await using setting = await startHits({
      by: 'text',
      plugin: { fastify: { logger: { level: 'info', stream } } },
    });
    const client = new Client(setting.origin);
    await client.ask(get('/short?computed'));
    const parsed = setting.parsed();
    for (let at = 0; at < 3; at++) assert.match(await client.ask(get('/short?computed')), /^cache-status: vazao; hit/m);
    assert.equal(setting.parsed(), parsed, "before Node's parser");
    client.destroy();
    const byNode = await exchange(setting.origin, get('/short?computed', 'Connection: close\r\n'));
    assert.match(byNode.bytes, /^cache-status: vazao; hit/m);
    assert.deepEqual([setting.app.answered.hit[2], setting.app.answered.miss[2]], [4, 1]);
  }
  stream.end();
  const lines = (await written)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const asked = lines.filter(({ req }) => req !== undefined);
  assert.deepEqual(
    asked.map(({ req: { method, url, remoteAddress } }) => [method, url, remoteAddress]),
    [['GET', '/short?computed', '127.0.0.1']],
  );
  const answered = lines.filter(({ res }) => res !== undefined);
  assert.deepEqual(
    answered.map(({ reqId, res: { statusCode } }) => [reqId, statusCode]),
    [[asked[0].reqId, 200]],
  );
});
