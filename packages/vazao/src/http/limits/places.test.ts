/** Places in flight on a listening server: with the vazao plugin and a database, and alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { cached, until } from '../../testing/cached-app.ts';
import { alone, Gate, withCache } from '../../testing/limited-app.ts';
import { open, read } from '../../testing/raw-http.ts';

/** A wait so long that only the test ends it. */
const PATIENT = { waitMaxMs: 60_000, waitTargetMs: 60_000 };

test('who finds no room and waits too long is told so, as problem details, with Retry-After', async () => {
  const gate = new Gate();
  await using server = await alone({ admission: { inFlightMax: 4 }, random: () => 0.5 }, (app) => {
    app.get('/slow', async () => {
      await gate.pass();
      return { ok: true };
    });
  });
  const first = fetch(`${server.origin}/slow`);
  await until('the place is taken', () => gate.entered === 1);
  const refused = await fetch(`${server.origin}/slow`);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get('retry-after'), '3');
  assert.match(refused.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.deepEqual(await refused.json(), {
    type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
    title: 'Too busy',
    status: 503,
    detail: 'The server is working on as much as it can. Try again in a moment.',
    code: 'ERR_LIMIT_OVERLOAD',
  });
  const page = await fetch(`${server.origin}/slow`, { headers: { accept: 'text/html,*/*' } });
  assert.match(await page.text(), /^<!doctype html>.*Try again in 3 s/);
  assert.equal(gate.entered, 1, 'neither was worked on');
  gate.open();
  assert.deepEqual(await (await first).json(), { ok: true });
  assert.deepEqual(server.app.limits?.figures().refused, { ERR_LIMIT_OVERLOAD: 2 });
});

test('while reads overflow, a write and health get in', async () => {
  const gate = new Gate();
  await using server = await alone({ admission: { inFlightMax: 5, ...PATIENT } }, (app) => {
    app.get('/slow', async () => {
      await gate.pass();
      return 'read';
    });
    app.post('/write', async () => 'written');
    app.get('/health', async () => 'well');
  });
  const reads = Array.from({ length: 20 }, () => fetch(`${server.origin}/slow`));
  await until('all reads have come', () => server.app.limits?.figures().classes?.read.waiting === 18);
  assert.equal(await (await fetch(`${server.origin}/write`, { method: 'POST' })).text(), 'written');
  assert.equal(await (await fetch(`${server.origin}/health`)).text(), 'well');
  assert.equal(gate.entered, 2, 'a place of their own, and the one that is shared');
  gate.open();
  for (const one of await Promise.all(reads)) assert.equal(one.status, 200);
  const { classes } = server.app.limits?.figures() ?? {};
  assert.deepEqual([classes?.read.inFlight, classes?.read.admitted], [0, 20]);
});

test('a request whose client is gone is not worked on', async () => {
  const gate = new Gate();
  await using server = await alone({ admission: { inFlightMax: 4, ...PATIENT } }, (app) => {
    app.get('/slow', async () => {
      await gate.pass();
      return 'done';
    });
  });
  const waiting = (): number | undefined => server.app.limits?.figures().classes?.read.waiting;
  const first = fetch(`${server.origin}/slow`);
  await until('the place is taken', () => gate.entered === 1);
  const socket = open(server.origin);
  socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('it waits', () => waiting() === 1);
  const third = fetch(`${server.origin}/slow`);
  await until('both wait', () => waiting() === 2);
  socket.destroy();
  await until('it has left the line', () => waiting() === 1);
  gate.open();
  assert.equal((await first).status, 200);
  assert.equal((await third).status, 200);
  assert.equal(gate.entered, 2);
});

test('a place is given back however the work ends', async () => {
  await using server = await alone({ admission: { inFlightMax: 4, ...PATIENT } }, (app) => {
    app.get('/throws', async () => {
      throw new Error('a handler fails');
    });
    app.get('/empty', (_request, reply) => reply.code(204).send());
    app.get('/stream', (_request, reply) => reply.send(new Blob(['streamed']).stream()));
    app.get('/hijack', (_request, reply) => {
      reply.hijack();
      reply.raw.end('hijacked');
    });
    app.get('/error', (_request, reply) => reply.code(400).send({ bad: true }));
  });
  for (let round = 0; round < 3; round++)
    for (const path of ['throws', 'empty', 'stream', 'hijack', 'error', 'nowhere'])
      await (await fetch(`${server.origin}/${path}`)).text();
  await until('all places are free', () => server.app.limits?.figures().classes?.read.inFlight === 0);
  assert.equal(server.app.limits?.figures().classes?.read.admitted, 18);
});

test('a client that reads slowly keeps no place while it reads', async () => {
  await using server = await alone({ admission: { inFlightMax: 4, ...PATIENT } }, (app) => {
    app.get('/large', async () => Buffer.alloc(16 * 1024 * 1024, 'x'));
  });
  const socket = open(server.origin);
  socket.pause();
  socket.write('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
  const read = (): { inFlight: number; admitted: number } | undefined => server.app.limits?.figures().classes?.read;
  await until('its answer is on the way', () => read()?.admitted === 1);
  await until('its place is free', () => read()?.inFlight === 0);
  assert.equal(socket.destroyed, false);
  socket.destroy();
});

test('a body that arrives slowly takes no place, and gets one when it is there', async () => {
  await using server = await alone({ admission: { inFlightMax: 4, ...PATIENT }, slowBodiesMax: 5 }, (app) => {
    app.post('/write', async (request) => request.body);
  });
  const classes = () => server.app.limits?.figures().classes ?? assert.fail();
  const slow = Array.from({ length: 5 }, () => {
    const socket = open(server.origin);
    socket.write('POST /write HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ntr');
    return socket;
  });
  // There are places for two of them at a time.
  await until('all have had a place', () => classes().write.admitted === 5);
  await until('they have given it back', () => classes().write.inFlight === 0);
  const write = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '1' };
  assert.equal(await (await fetch(`${server.origin}/write`, write)).text(), '1');
  const answers = slow.map((socket) => read(socket, 1));
  for (const socket of slow) socket.write('ue');
  for (const { answers: own } of await Promise.all(answers))
    assert.deepEqual([own[0]?.status, own[0]?.body], [200, 'true']);
  assert.deepEqual([classes().write.admitted, classes().write.inFlight], [11, 0]);
});

test('of bodies that arrive slowly, one too many is cut off', async () => {
  await using server = await alone({ admission: { inFlightMax: 9, ...PATIENT }, slowBodiesMax: 1 }, (app) => {
    app.post('/write', async (request) => request.body);
  });
  const ask = () => {
    const socket = open(server.origin);
    socket.write('POST /write HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\na');
    return socket;
  };
  const first = ask();
  const hasGivenBack = (place: number): Promise<void> =>
    until('it has had a place, and given it back', () => {
      const { admitted, inFlight } = server.app.limits?.figures().classes?.write ?? assert.fail();
      return admitted === place && inFlight === 0;
    });
  await hasGivenBack(1);
  const { answers, closed } = await read(ask(), 2);
  assert.deepEqual([answers[0]?.status, answers[0]?.headers.connection, closed], [408, 'close', true]);
  assert.equal(server.app.limits?.figures().slowBodies, 1);
  first.destroy(); // its end arrives before the third, which may then be slow
  const third = ask();
  await hasGivenBack(3);
  const rest = read(third, 1);
  third.write('b');
  assert.equal((await rest).answers[0]?.body, 'ab');
});

test('the readers of one fill take one place, and a hit none', async () => {
  const gate = new Gate();
  await using server = await withCache({ admission: { inFlightMax: 4, ...PATIENT } }, ({ app, read }) => {
    app.get('/um', cached, async () => {
      await gate.pass();
      return read();
    });
    app.get('/busy', async () => {
      await gate.pass();
      return '';
    });
  });
  const readers = Array.from({ length: 20 }, () => fetch(`${server.origin}/um`));
  await until('one computes', () => gate.entered === 1);
  await until('the others wait for it', () => server.platform.cache.isFilling('/um'));
  assert.equal(server.app.limits?.figures().classes?.read.waiting, 0);
  gate.open();
  for (const reader of readers) assert.equal(await (await reader).text(), 'um');
  gate.isOpen = false;
  const busy = fetch(`${server.origin}/busy`);
  await until('the place is taken', () => gate.entered === 2);
  const hit = await fetch(`${server.origin}/um`);
  assert.match(hit.headers.get('cache-status') ?? '', /; hit/);
  gate.open();
  await busy;
});

test('what becomes of the one that leads a fill becomes of those who wait for it; and the route goes on being cached', async () => {
  const gate = new Gate();
  let computed = 0;
  await using server = await withCache(
    { admission: { inFlightMax: 4, waitMaxMs: 400, waitTargetMs: 400 } },
    ({ app, read }) => {
      app.get('/um', cached, async () => {
        computed++;
        return read();
      });
      app.get('/busy', async () => {
        await gate.pass();
        return '';
      });
    },
  );
  const busy = fetch(`${server.origin}/busy`);
  await until('the place is taken', () => gate.entered === 1);
  const readers = await Promise.all(Array.from({ length: 5 }, () => fetch(`${server.origin}/um`)));
  for (const one of readers) {
    assert.equal(one.status, 503);
    assert.match(one.headers.get('retry-after') ?? '', /^[1-5]$/);
    assert.equal(((await one.json()) as { code: string }).code, 'ERR_LIMIT_OVERLOAD');
  }
  assert.equal(computed, 0);
  gate.open();
  await busy;
  await fetch(`${server.origin}/um`);
  assert.match(
    (await server.platform.get('/um')).cacheStatus,
    /; hit/,
    'neither passed by nor split by a field that was looked at',
  );
  assert.equal(computed, 1);
});

test('when the one that leads a fill leaves its line, another of those who wait leads', async () => {
  const gate = new Gate();
  let computed = 0;
  await using server = await withCache({ admission: { inFlightMax: 4, ...PATIENT } }, ({ app, read }) => {
    app.get('/um', cached, async () => {
      computed++;
      return read();
    });
    app.get('/busy', async () => {
      await gate.pass();
      return '';
    });
  });
  const busy = fetch(`${server.origin}/busy`);
  await until('the place is taken', () => gate.entered === 1);
  const waiting = (): number | undefined => server.app.limits?.figures().classes?.read.waiting;
  let closed = 0;
  server.app.server.on('connection', (socket) => socket.once('close', () => closed++));
  const leader = open(server.origin);
  leader.write('GET /um HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('it waits', () => waiting() === 1);
  const other = fetch(`${server.origin}/um`);
  await delay(20); // it may join the fill meanwhile, or not: both end alike
  leader.destroy();
  await until('the server has noticed', () => closed === 1);
  await until('the other waits in its place', () => server.platform.cache.isFilling('/um') && waiting() === 1);
  gate.open();
  assert.equal(await (await other).text(), 'um');
  assert.equal(computed, 1);
  await busy;
});

test('what a handler asks of its own application is part of its own work', async () => {
  await using server = await alone(
    { admission: { inFlightMax: 4, ...PATIENT, classes: { read: { max: 1 } } } },
    (app) => {
      app.get('/inner', async () => 'inner');
      app.get('/outer', async () => (await app.inject('/inner')).body);
    },
  );
  assert.equal(await (await fetch(`${server.origin}/outer`)).text(), 'inner');
});

test('a handler that waited runs in its own context, not in that of whoever made room', async () => {
  const gate = new Gate();
  await using server = await withCache(
    { admission: { inFlightMax: 4, ...PATIENT, classes: { read: { max: 1 } } } },
    ({ app, platform }) => {
      app.get('/first', cached, async () => {
        await gate.pass();
        return (await platform.db.query('select nome from itens where id = 1')).rows[0].nome;
      });
      app.get('/second', cached, async () => (await platform.db.query('select count(*)::int as n from itens')).rows[0]);
    },
  );
  const first = fetch(`${server.origin}/first`);
  await until('the place is taken', () => gate.entered === 1);
  const second = fetch(`${server.origin}/second`);
  await until('it waits', () => server.app.limits?.figures().classes?.read.waiting === 1);
  gate.open();
  for (const answer of [await first, await second]) assert.match(answer.headers.get('cache-status') ?? '', /stored/);
});

test('that all limits look at a request leaves nothing in the key of its answer', async () => {
  const rate = { requests: 100, window: '1h' } as const;
  await using server = await withCache(
    { admission: { inFlightMax: 4 }, rates: { address: rate, anonymous: rate, user: rate } },
    ({ app, read }) => {
      app.get('/um', { config: { ...cached.config, limit: rate } }, async () => read());
    },
  );
  for (const expected of [/fwd=uri-miss; stored/, /; hit;/]) {
    const answer = await fetch(`${server.origin}/um`);
    assert.equal(await answer.text(), 'um');
    assert.match(String(answer.headers.get('cache-status')), expected);
    assert.equal(answer.headers.get('vary'), null);
  }
  assert.equal(server.platform.cache.peek('/um')?.value.kind, 'response', 'one look-up finds it');
});
