import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { stage, traceHeaders } from '../../db/index.ts';
import { cached, createSetting, type Setting, soon, until } from '../../testing/cached-app.ts';
import { Client, get, startHits } from '../../testing/hits-app.ts';
import { Gate } from '../../testing/limited-app.ts';
import { limitsPlugin } from '../limits/index.ts';
import { createTimingToken, type RequestEvent, requestChannel } from './index.ts';
import { createVisibility } from './visibility.ts';

const SECRET = 'a secret of the application';

interface Metric {
  readonly name: string;
  readonly ms: number;
  readonly desc: string | undefined;
}

function readMetrics(field: string | null): Metric[] {
  return (field ?? '')
    .split(', ')
    .filter(Boolean)
    .map((metric) => {
      const [, name = '', dur = 'NaN', desc] = /^([\w-]+)(?:;dur=([\d.e-]+))?(?:;desc="(.*)")?$/.exec(metric) ?? [];
      return { name, ms: Number(dur), desc };
    });
}

function addRoutes({ app, platform }: Setting): void {
  app.get('/itens', cached, async () => (await platform.db.query('select nome from itens order by id')).rows);
  app.get('/two', async () => {
    const one = await platform.db.query({
      name: 'first item',
      text: 'select nome from itens where id = $1',
      values: [1],
    });
    await platform.db.query('/* from nowhere */ update itens set nome = nome where id = $1', [1]);
    return one.rows;
  });
}

test('in development everybody sees the stages, and they add up to the whole', async () => {
  await using setting = await createSetting({ plugin: { timing: { visibleTo: 'everybody' } } });
  const { app, platform } = setting;
  addRoutes(setting);
  app.get('/queue', { onRequest: async () => stage('queue', 0.5) }, async () => ({ ok: true }));
  await platform.listen();

  const miss = readMetrics((await platform.get('/itens')).headers.get('server-timing'));
  const names = miss.map(({ name }) => name);
  assert.deepEqual(
    names.filter((name) => name !== 'feed' && name !== 'pool'),
    ['cache', 'hooks', 'handler', 'serialise', 'compress', 'q1', 'total'],
  );
  assert.equal(miss.find(({ name }) => name === 'q1')?.desc, 'select itens');
  const total = miss.at(-1)?.ms ?? 0;
  const sum = miss.filter(({ name }) => !/^(q\d+|total)$/.test(name)).reduce((all, { ms }) => all + ms, 0);
  // Each number has three digits.
  assert.ok(Math.abs(total - sum) <= total * 0.02 + 0.05, `${sum} of ${total}`);

  const two = readMetrics((await platform.get('/two')).headers.get('server-timing'));
  assert.deepEqual(
    two.filter(({ name }) => /^q\d/.test(name)).map(({ desc }) => desc),
    ['first item', 'update itens'],
  );
  const queue = readMetrics((await platform.get('/queue')).headers.get('server-timing'));
  assert.equal(queue.find(({ name }) => name === 'queue')?.ms, 0.5);

  const hit = await platform.get('/itens');
  assert.match(hit.cacheStatus, /; hit/);
  assert.equal(hit.headers.get('server-timing'), 'cache;desc="hit"');
  const { status, headers } = await platform.get('/itens', { 'if-none-match': hit.headers.get('etag') ?? '' });
  assert.deepEqual([status, headers.get('server-timing')], [304, 'cache;desc="hit"']);
});

test('waiting for a place is the stage `queue`, of whoever waited, admitted or not, and the stages still add up', async () => {
  const gate = new Gate();
  await using setting = await createSetting({
    plugin: { timing: { visibleTo: 'everybody' } },
    fastify: { forceCloseConnections: true },
  });
  const { app, platform } = setting;
  await app.register(limitsPlugin, {
    admission: { inFlightMax: 5, waitMaxMs: 60_000, waitTargetMs: 60_000, queueLengthMax: 1 },
  });
  app.get('/gate', async () => {
    await gate.pass();
    return { ok: true };
  });
  await platform.listen();
  const timed = async (): Promise<Metric[]> => readMetrics((await platform.get('/gate')).headers.get('server-timing'));
  const waiting = (): number | undefined => app.limits?.figures().classes?.read.waiting;
  const inside = [timed(), timed()];
  await until('the places are taken', () => gate.entered === 2);
  const refused = platform.get('/gate');
  await until('it waits', () => waiting() === 1);
  const admitted = timed();
  assert.equal((await refused).status, 503, 'the line is full, and the oldest goes');
  assert.match((await refused).headers.get('server-timing') ?? '', /\bqueue;dur=[\d.]+/);
  const waitsSinceMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const waitedMs = performance.now() - waitsSinceMs;
  gate.open();
  const metrics = await admitted;
  const queue = metrics.find(({ name }) => name === 'queue')?.ms ?? 0;
  assert.ok(queue >= waitedMs * 0.99 - 1, `${queue} of ${waitedMs}`);
  const sum = metrics.filter(({ name }) => name !== 'total').reduce((all, { ms }) => all + ms, 0);
  const total = metrics.at(-1)?.ms ?? 0;
  assert.ok(Math.abs(total - sum) <= total * 0.02 + 0.05, `${sum} of ${total}`);
  for (const one of await Promise.all(inside)) assert.ok(!one.some(({ name }) => name === 'queue'));
});

test('waiting for a connection is a stage of its own: neither the handler nor the statement has that time', async () => {
  await using setting = await createSetting({ plugin: { timing: { visibleTo: 'everybody' } } });
  const { app, platform } = setting;
  addRoutes(setting);
  app.get('/three', async () => {
    const results = await Promise.all([1, 2, 3].map(() => platform.db.query('select nome from itens')));
    return results.length;
  });
  app.get('/client', async () => {
    const client = await platform.db.connect();
    await client.query('select nome from itens').finally(() => client.release());
    return {};
  });
  await platform.listen();
  // What is cached waits for the fill's connection, the others each for its own; callbacks and promises are two ways of pg.
  for (const path of ['/itens', '/three', '/client']) {
    const taken = await Promise.all(Array.from({ length: platform.db.options.max }, () => platform.db.connect()));
    const answer = platform.get(path);
    await until('it waits', () => platform.db.waitingCount > 0);
    await delay(50);
    for (const client of taken) client.release();
    const metrics = readMetrics((await answer).headers.get('server-timing'));
    const waits = metrics.filter(({ name }) => name === 'pool');
    assert.equal(waits.length, 1, `${path}: waits side by side are one`);
    const waitedMs = waits[0]?.ms ?? 0;
    assert.ok(waitedMs >= 49, `${path}: ${waitedMs}`);
    const sum = metrics.filter(({ name }) => !/^(q\d+|total)$/.test(name)).reduce((all, { ms }) => all + ms, 0);
    const total = metrics.at(-1)?.ms ?? 0;
    assert.ok(Math.abs(total - sum) <= total * 0.02 + 0.05, `${path}: ${sum} of ${total}`);
    const inside = metrics.filter(({ name }) => /^(handler|q\d+)$/.test(name)).map(({ ms }) => ms);
    // The first of three may be under way while the third still waits, but none of them in the 50 ms before there was a connection.
    for (const ms of inside) assert.ok(ms <= total - 49, `${path}: ${ms} of ${total}, ${waitedMs} waited`);
  }
});

test('what the application says of its own time stays, and nothing of it is kept', async () => {
  await using setting = await createSetting({
    plugin: { timing: { visibleTo: (request) => request.headers['x-me'] === '1' } },
  });
  const { app, platform, read } = setting;
  app.get('/own', cached, async (_request, reply) => {
    reply.header('server-timing', 'render;dur=1');
    return { nome: await read() };
  });
  await platform.listen();
  const miss = await platform.get('/own', { 'x-me': '1' });
  assert.match(miss.headers.get('server-timing') ?? '', /^render;dur=1, cache;dur=.*q1;dur=.*total;dur=/);
  const stranger = await platform.get('/own');
  assert.match(stranger.cacheStatus, /; hit/);
  assert.equal(stranger.headers.get('server-timing'), null);
});

test('in production only who brings a token sees anything', async () => {
  await using setting = await createSetting({ plugin: { timing: { visibleTo: 'token' }, secret: SECRET } });
  const { platform } = setting;
  addRoutes(setting);
  await platform.listen();
  const inAnHour = Date.now() + 3_600_000;
  const good = createTimingToken(SECRET, inAnHour);
  const [seconds, signature] = good.split('.');
  const refused = [
    '',
    good.slice(0, -1),
    createTimingToken('another secret', inAnHour),
    createTimingToken(SECRET, Date.now() - 1_000),
    createTimingToken(SECRET, Date.now() + 400 * 24 * 3_600_000),
    `${Number(seconds) + 1}.${signature}`,
  ];
  for (const path of ['/two', '/itens', '/itens']) {
    for (const token of refused) {
      const answer = await platform.get(path, token === '' ? {} : { 'vazao-timing': token });
      assert.equal(answer.headers.get('server-timing'), null, `${path} with ${token}`);
    }
    assert.ok((await platform.get(path, { 'vazao-timing': good })).headers.get('server-timing'), path);
  }
});

test('an option that would show timings to everybody is refused in production, and one without a secret', () => {
  const before = process.env.NODE_ENV;
  process.env.NODE_ENV = 'production';
  try {
    assert.throws(() => createVisibility({ visibleTo: 'everybody' }, SECRET), { code: 'ERR_HTTP_TIMING' });
    assert.throws(() => createVisibility({ visibleTo: 'token' }, undefined), { code: 'ERR_HTTP_TIMING' });
  } finally {
    if (before === undefined) delete process.env.NODE_ENV;
    else process.env.NODE_ENV = before;
  }
});

test('a predicate that throws shows nothing, and harms no answer', async () => {
  const visibleTo = (): boolean => {
    throw new Error('no');
  };
  await using setting = await createSetting({ plugin: { timing: { visibleTo } } });
  addRoutes(setting);
  await setting.platform.listen();
  for (const path of ['/itens', '/itens', '/two']) {
    const { status, headers } = await setting.platform.get(path);
    assert.deepEqual([status, headers.get('server-timing')], [200, null]);
  }
});

test('the channel tells all stages, sending too, and of hits', async () => {
  await using setting = await createSetting();
  const { platform } = setting;
  addRoutes(setting);
  await platform.listen();
  const events: RequestEvent[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const listener = (event: unknown): void => {
    if (events.push(event as RequestEvent) === 3) resolve();
  };
  subscribe(requestChannel.name, listener);
  try {
    const miss = await platform.get('/itens', {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    });
    assert.equal(miss.headers.get('server-timing'), null);
    await platform.get('/itens');
    await platform.get('/two');
    await soon(promise);
  } finally {
    unsubscribe(requestChannel.name, listener);
  }
  // They end in an order of their own, each on its connection.
  const miss = events.find(({ url, isHit }) => url === '/itens' && !isHit);
  const hit = events.find(({ isHit }) => isHit);
  const two = events.find(({ url }) => url === '/two');
  assert.equal(miss?.route, '/itens');
  assert.equal(miss.traceId, '0af7651916cd43dd8448eb211c80319c');
  assert.equal(miss.stages.at(-1)?.name, 'send');
  const sum = miss.stages.reduce((all, { durationMs }) => all + durationMs, 0);
  assert.ok(Math.abs(sum - miss.durationMs) < 1e-6, `${sum} of ${miss.durationMs}`);
  assert.deepEqual([hit?.isHit, hit?.status, hit?.url, hit?.isCut], [true, 200, '/itens', false]);
  assert.deepEqual(
    two?.statements.map(({ name }) => name),
    ['first item', 'update itens'],
  );
  // The position that a write asks for is waited for.
  assert.ok(two.stages.some(({ name }) => name === 'feed'));
});

for (const { name, route, register } of [
  { name: "is answered before Node's parser while nobody subscribes", route: undefined, register: () => {} },
  {
    name: 'Fastify answers, as it does where routes have constraints',
    route: '/short',
    register: ({ app }: Setting) => void app.get('/other', { constraints: { host: 'b' } }, async () => 'other'),
  },
])
  test(`the channel tells the trace of a hit that ${name}`, async () => {
    await using setting = await startHits({ by: 'text', register });
    const client = new Client(setting.origin);
    const trace = '0af7651916cd43dd8448eb211c80319c';
    const good = `traceparent: 00-${trace}-b7ad6b7169203331-01\r\n`;
    const requests = ['', good, good + good, 'traceparent: malformed\r\n'].map((fields) => get('/short', fields));
    const askAll = async (): Promise<void> => {
      for (const request of requests) assert.match(await client.ask(request), /^cache-status: vazao; hit/m);
    };
    await client.ask(get('/short')); // computes it
    const before = setting.parsed();
    await askAll();
    assert.equal(setting.parsed() - before, route === undefined ? 0 : requests.length);
    const told: unknown[] = [];
    const listener = (event: unknown): void => {
      const { isHit, route, traceId } = event as RequestEvent;
      told.push({ isHit, route, traceId });
    };
    subscribe(requestChannel.name, listener);
    try {
      await askAll();
      await until('each was told', () => told.length === requests.length);
    } finally {
      unsubscribe(requestChannel.name, listener);
      client.destroy();
    }
    const traceIds = [undefined, trace, undefined, undefined];
    assert.deepEqual(
      told,
      traceIds.map((traceId) => ({ isHit: true, route, traceId })),
    );
  });

test('a trace goes to the log and to what a handler asks of others', async () => {
  const stream = new PassThrough();
  await using setting = await createSetting({ fastify: { logger: { level: 'info', stream } } });
  const { app, platform } = setting;
  app.get('/trace', async (request) => {
    request.log.info('seen');
    return traceHeaders();
  });
  await platform.listen();
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const answer = await platform.get('/trace', { traceparent: `00-${trace}-b7ad6b7169203331-01`, tracestate: 'a=1' });
  assert.match(answer.text, new RegExp(`"traceparent":"00-${trace}-[0-9a-f]{16}-01","tracestate":"a=1"`));
  let log = '';
  while (!log.includes('request completed')) {
    const chunk = stream.read();
    if (chunk === null) await once(stream, 'readable');
    else log += chunk;
  }
  for (const message of ['seen', 'request completed']) {
    const line = log.split('\n').find((text) => text.includes(message));
    assert.equal(JSON.parse(line ?? '{}').traceId, trace, message);
  }
  assert.equal((await platform.get('/trace', { traceparent: 'malformed' })).text, '{}');
});
