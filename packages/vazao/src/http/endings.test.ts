/** How answers end: clients that leave, streams that fail, handlers that send twice, servers that close. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyServerOptions } from 'fastify';
import { cached, createSetting, soon, until } from '../testing/cached-app.ts';
import type { TestAnswer } from '../testing/platform.ts';

for (const looks of ['signal', 'aborted', 'event', 'hook'] as const) {
  test(`an answer cut short because its client left is nobody else's (${looks})`, async () => {
    await using setting = await createSetting();
    const { app, read, platform } = setting;
    const left = new WeakSet<object>();
    let calls = 0;
    const options = looks === 'hook' ? { onRequestAbort: async (request: object) => void left.add(request) } : {};
    app.get('/x', { ...cached, ...options }, async (request) => {
      const nome = await read();
      if (calls++ > 0) return nome;
      const isGone = {
        signal: () => request.signal.aborted,
        aborted: () => request.raw.aborted,
        event: () => left.has(request),
        hook: () => left.has(request),
      }[looks];
      if (looks === 'event') request.raw.once('close', () => left.add(request));
      while (!isGone()) await delay(5);
      return 'parcial';
    });
    const { port } = new URL(await platform.listen());
    const socket = connect(Number(port), '127.0.0.1');
    socket.write('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until('the first computes', () => calls === 1);
    const waiting = platform.get('/x');
    await until('the second waits', () => platform.cache.waiting('/x') === 1);
    socket.destroy();
    assert.equal((await soon(waiting)).text, 'um');
    await delay(30);
    assert.equal((await platform.get('/x')).text, 'um');
  });
}

test('a stream that ends with its client, or with an error, keeps nobody waiting', async () => {
  await using setting = await createSetting();
  const { app, read, platform } = setting;
  let calls = 0;
  const ended = Promise.withResolvers<void>();
  app.get<{ Params: { how: string } }>('/:how', cached, async (request, reply) => {
    await read();
    const isFirst = calls++ === 0;
    const content = async function* (): AsyncGenerator<string> {
      yield 'a';
      if (isFirst) {
        await ended.promise;
        if (request.params.how === 'error') throw new Error('quebrou');
        await delay(60_000, undefined, { ref: false });
      }
      yield 'b';
    };
    return reply.type('text/plain').send(Readable.from(content()));
  });
  const { port } = new URL(await platform.listen());
  for (const how of ['error', 'client']) {
    calls = 0;
    const socket = connect(Number(port), '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.write(`GET /${how} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until('the first streams', () => calls === 1);
    const waiting = platform.get(`/${how}`);
    await until('the second waits', () => platform.cache.waiting(`/${how}`) === 1);
    await delay(20);
    if (how === 'client') socket.destroy();
    else ended.resolve();
    assert.equal((await soon(waiting)).text, 'ab', how);
    assert.ok(!answer.includes('statusCode'), `no second answer in the first: ${answer}`);
    socket.destroy();
  }
});

test('an answer without end flows as it comes', async () => {
  await using setting = await createSetting({ plugin: { fillMaxMs: 100 } });
  const { app, read, platform } = setting;
  app.get('/eventos', cached, async (_request, reply) => {
    await read();
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' });
    reply.raw.write('data: 1\n\n');
    return new Promise(() => {});
  });
  app.get('/sem-fim', cached, async (_request, reply) => {
    await read();
    reply.raw.writeHead(200, { 'content-type': 'text/plain' });
    reply.raw.write('data: 1\n\n');
    setTimeout(() => reply.raw.write('data: 2\n\n'), 150);
    return new Promise(() => {});
  });
  const origin = await platform.listen();
  for (const path of ['/eventos', '/sem-fim']) {
    const leaving = new AbortController();
    const response = await soon(fetch(origin + path, { signal: leaving.signal }));
    const { value } = await soon(response.body?.getReader().read() as Promise<{ value?: Uint8Array }>);
    assert.match(Buffer.from(value as Uint8Array).toString(), /data: 1/, path);
    leaving.abort();
  }
});

test('with a logger, a failure is answered with the old answer every time', async () => {
  await using setting = await createSetting({
    fastify: { logger: { level: 'error', stream: { write() {} } } as FastifyServerOptions['logger'] & object },
  });
  const { app, read, platform } = setting;
  let fails = false;
  app.get('/x', { config: { cache: { staleIfError: '1h' } } }, async (request) => {
    request.log.error({ req: request }, 'eu');
    const nome = await read();
    if (fails) throw new Error('away');
    return nome;
  });
  await platform.listen();
  assert.match((await platform.get('/x')).cacheStatus, /stored$/);
  fails = true;
  await platform.db.query(`update itens set nome = 'dois' where id = 1`);
  await platform.settled();
  for (let n = 0; n < 3; n++) assert.match((await platform.get('/x')).cacheStatus, /stale-if-error/, `time ${n}`);
});

test('an answer that waits for the feed counts as sent: what the handler sends after it is not', async () => {
  await using setting = await createSetting();
  const { app, read, platform } = setting;
  const { feed } = platform;
  app.get('/no-return', cached, async (_request, reply) => {
    reply.type('text/plain').send(await read());
  });
  app.get('/twice', cached, (_request, reply) => {
    read().then((nome) => {
      reply.type('text/plain').send(nome);
      reply.send('outra');
    });
  });
  await platform.listen();
  const { waitFor } = feed;
  // As after a commit that the feed has not told of yet.
  Object.defineProperty(feed, 'position', { configurable: true, get: () => -1n });
  Object.defineProperty(feed, 'waitFor', { configurable: true, value: () => delay(30).then(() => true) });
  for (const path of ['/no-return', '/twice']) {
    assert.equal((await platform.get(path)).text, 'um', path);
    assert.equal((await platform.get(path)).text, 'um', path);
  }
  assert.ok(waitFor);
});

test('waiters whose handler time runs out are answered once', async () => {
  await using setting = await createSetting();
  const { app, read, platform } = setting;
  let calls = 0;
  app.get('/x', { ...cached, handlerTimeout: 100 }, async () => {
    calls++;
    const nome = await read();
    await delay(250);
    return nome;
  });
  await platform.listen();
  const answers: Promise<TestAnswer>[] = [platform.get('/x')];
  await until('the first computes', () => calls === 1);
  for (let n = 0; n < 5; n++) answers.push(platform.get('/x'));
  for (const { status } of await soon(Promise.all(answers))) assert.equal(status, 503);
  await delay(300);
});

test('closing waits for fills and those who wait for them', async () => {
  const setting = await createSetting();
  const { app, read, platform } = setting;
  let calls = 0;
  app.get('/x', cached, async () => {
    calls++;
    const nome = await read();
    await delay(200);
    return nome;
  });
  await platform.listen();
  const answers = [platform.get('/x')];
  await until('the first computes', () => calls === 1);
  for (let n = 0; n < 5; n++) answers.push(platform.get('/x'));
  await until('all wait', () => platform.cache.waiting('/x') === 5);
  const closed = app.close();
  for (const { status, text } of await Promise.all(answers)) assert.deepEqual([status, text], [200, 'um']);
  await soon(closed);
  await setting[Symbol.asyncDispose]();
});
