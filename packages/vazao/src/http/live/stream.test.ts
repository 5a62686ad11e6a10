/** Streams of events on the wire: what is written, when, and to whom no more. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { createPatientSetting, type Setting, until } from '../../testing/cached-app.ts';
import { createTestDatabase } from '../../testing/database.ts';
import { type EventClient, openEvents } from '../../testing/event-client.ts';
import { createTestPlatform } from '../../testing/platform.ts';
import { startTcpProxy } from '../../testing/tcp-proxy.ts';
import type { StoredResponse } from '../stored-response.ts';
import { createStateFrame, parseLastEventId } from './frame.ts';
import { wantsEvents, withoutEvents } from './negotiation.ts';
import { StreamLimits } from './stream-limits.ts';

const cached = { config: { cache: { liveInterval: 0 } } } as const;

async function createRoute(options: Parameters<typeof createPatientSetting>[0] = {}): Promise<Setting> {
  const setting = await createPatientSetting(options);
  const { db } = setting.platform;
  setting.app.get('/item', cached, async () => (await db.query('select nome from itens where id = 1')).rows[0]);
  setting.app.post('/item', async (request) => {
    await db.query('update itens set nome = $1 where id = 1', [(request.body as { nome: string }).nome]);
    return { ok: true };
  });
  return setting;
}

describe('whether a stream is asked for (RFC 9110, 12.5.1)', () => {
  const cases: [accept: string | undefined, wants: boolean, rest: string | undefined][] = [
    [undefined, false, undefined],
    ['*/*', false, '*/*'],
    ['text/*', false, 'text/*'],
    ['text/event-stream', true, undefined],
    ['Text/Event-Stream', true, undefined],
    ['text/event-stream;charset=utf-8', true, undefined],
    ['text/event-stream, */*', true, '*/*'],
    ['text/event-stream;q=0.5, */*', false, '*/*'],
    ['application/json;q=0.9, text/event-stream', true, 'application/json;q=0.9'],
    ['application/json, text/event-stream', false, 'application/json'],
    ['text/event-stream;q=0', false, undefined],
    ['text/event-stream ; q=0.000', false, undefined],
    ['text/html, text/event-stream-x', false, 'text/html, text/event-stream-x'],
  ];
  for (const [accept, wants, rest] of cases) {
    test(`${accept}: ${wants}`, () => {
      assert.equal(wantsEvents(accept), wants);
      assert.equal(withoutEvents(accept ?? ''), rest);
    });
  }
});

test('any text arrives as it was, but for its line ends', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', ':', ' ', '\n', '\r', '\r\n', 'ç', '€', '𝄞', 'data: ', '\u0000') }),
      fc.constantFrom(undefined, 'A'.repeat(54)),
      (body, token) => {
        const head = ['content-type', 'text/plain'];
        const stored = { status: 200, etag: '"e"', head, token, body: Buffer.from(body) } as unknown as StoredResponse;
        const frame = createStateFrame(stored);
        assert.ok(frame);
        const size = Number.parseInt(frame.chunk.toString('latin1'), 16);
        assert.equal(size, frame.plain.length);
        assert.equal(frame.chunk.toString(), `${size.toString(16)}\r\n${frame.plain}\r\n`);
        const lines = frame.plain.toString().split('\n');
        assert.deepEqual(lines.splice(-2), ['', '']);
        const id = lines.shift();
        assert.deepEqual(parseLastEventId(id?.slice('id: '.length)), { token, mark: frame.mark });
        for (const line of lines) assert.ok(line.startsWith('data: '));
        const data = lines.map((line) => line.slice('data: '.length));
        assert.equal(data.join('\n'), body.replaceAll(/\r\n?/g, '\n'));
      },
    ),
  );
});

test('streams are counted in all, by address and by user', () => {
  const limits = new StreamLimits({ streamsMax: 5, perAddressMax: 2, perUserMax: 2 });
  const take = (address: string, user?: string): (() => void) => {
    const taken = limits.take(address, user);
    assert.ok(typeof taken === 'function', JSON.stringify(taken));
    return taken;
  };
  const refused = (address: string, user?: string): number => (limits.take(address, user) as { status: number }).status;
  const one = take('10.0.0.1', 'ana');
  take('10.0.0.1');
  assert.equal(refused('10.0.0.1'), 429);
  take('2001:db8::1', 'ana');
  assert.equal(refused('10.0.0.2', 'ana'), 429);
  take('2001:db8:0:0:ffff::2');
  assert.equal(refused('2001:db8:0::3'), 429, 'a /64 is one address');
  const other = take('2001:db8:0:1::3');
  assert.equal(refused('10.0.0.9'), 503);
  one();
  one();
  assert.equal(limits.streams, 4, 'a place is given back once');
  other();
  take('10.0.0.1', 'ana');
});

test('one too many is refused with problem details, and with when to try again', async () => {
  await using setting = await createRoute({ plugin: { live: { perAddressMax: 2 } } });
  const origin = await setting.platform.listen();
  const first = await openEvents(`${origin}/item`);
  using second = await openEvents(`${origin}/item`);
  const third = await openEvents(`${origin}/item`);
  assert.equal(third.status, 429);
  assert.match(third.headers['content-type'] ?? '', /^application\/problem\+json/);
  assert.match(third.headers['retry-after'] ?? '', /^[1-9]\d*$/);
  assert.equal(second.isEnded, false);
  first[Symbol.dispose]();
  await until('a place is free', () => setting.app.live?.streams === 1);
  using fourth = await openEvents(`${origin}/item`);
  assert.equal(fourth.status, 200);
});

test('comments keep a silent stream alive, and each client is told its own time to wait', async () => {
  await using setting = await createRoute({ plugin: { live: { heartbeatMs: 100 } } });
  const origin = await setting.platform.listen();
  const clients = await Promise.all(Array.from({ length: 12 }, () => openEvents(`${origin}/item`)));
  for (const client of clients) {
    await client.until('comments', () => client.comments >= 3);
    assert.equal(client.events.length, 1);
  }
  const retries = clients.flatMap((client) => client.retries);
  assert.equal(retries.length, 12);
  for (const retry of retries) assert.ok(retry >= 1_000 && retry <= 3_000, `${retry}`);
  assert.ok(new Set(retries).size > 6, `spread: ${retries}`);
  for (const client of clients) client[Symbol.dispose]();
});

test('a client that does not read costs one state, gets the newest when it reads, or is cut off', async () => {
  await using setting = await createPatientSetting({ plugin: { live: { heartbeatMs: 100, slowMaxMs: 60_000 } } });
  const { db } = setting.platform;
  const filler = 'x'.repeat(900_000);
  setting.app.get('/grande', cached, async () => {
    const { rows } = await db.query('select nome from itens where id = 1');
    return { nome: rows[0].nome, filler };
  });
  const origin = await setting.platform.listen();
  const nome = async (client: EventClient): Promise<string> => ((await client.nextJson()) as { nome: string }).nome;
  using slow = await openEvents(`${origin}/grande`);
  using quick = await openEvents(`${origin}/grande`);
  assert.equal(await nome(slow), 'um');
  assert.equal(await nome(quick), 'um');
  slow.pause();
  // The kernel takes some states for the client; then nothing is written to it any more.
  const written = 24;
  for (let n = 1; n <= written; n++) {
    await db.query('update itens set nome = $1 where id = 1', [`estado ${n}`]);
    assert.equal(await nome(quick), `estado ${n}`);
  }
  slow.resume();
  const seen: string[] = [];
  while (seen.at(-1) !== `estado ${written}`) seen.push(await nome(slow));
  assert.ok(seen.length < written, `it was spared some of ${written} states, and saw ${seen.length}`);
  assert.deepEqual(
    seen.toSorted((a, b) => Number(a.slice(7)) - Number(b.slice(7))),
    seen,
  );
  assert.equal(setting.app.live?.cutOff, 0);
});

test('slow clients are cut off after their time, and when what they have not read takes too much memory', async () => {
  for (const live of [{ heartbeatMs: 100, slowMaxMs: 200 }, { slowMaxBytes: 100_000 }]) {
    await using setting = await createPatientSetting({ plugin: { live } });
    const { db } = setting.platform;
    const filler = 'x'.repeat(900_000);
    setting.app.get('/grande', cached, async () => {
      const { rows } = await db.query('select nome from itens where id = 1');
      return { nome: rows[0].nome, filler };
    });
    const origin = await setting.platform.listen();
    using slow = await openEvents(`${origin}/grande`);
    await slow.next();
    slow.pause();
    let n = 0;
    await until('it is cut off', async () => {
      await db.query('update itens set nome = $1 where id = 1', [`estado ${++n}`]);
      return setting.app.live?.cutOff === 1;
    });
    await until('its place is free', () => setting.app.live?.streams === 0);
  }
});

test('HEAD has the head of the stream; HTTP/1.0 has no chunks; over HTTP/2 it is the same', async () => {
  await using setting = await createRoute();
  const origin = await setting.platform.listen();
  const head = await openEvents(`${origin}/item`, {}, 'HEAD');
  await head.until('its end', () => head.isEnded);
  assert.deepEqual([head.status, head.headers['content-type'], head.text], [200, 'text/event-stream', '']);
  await until('no stream is open', () => setting.app.live?.streams === 0);

  const socket = connect(Number(new URL(origin).port), '127.0.0.1');
  let text = '';
  socket.on('data', (data) => {
    text += data;
  });
  socket.write('GET /item HTTP/1.0\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n');
  await until('the first event', () => text.includes('\n\n', text.indexOf('data:')));
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.doesNotMatch(text, /transfer-encoding/i);
  assert.match(text, /\r\n\r\nretry: \d+\n\nid: [\w.-]+\ndata: \{"nome":"um"\}\n\n$/);
  socket.destroy();

  await using second = await createRoute({ fastify: { http2: true } as object });
  const session = http2.connect(await second.platform.listen());
  const stream = session.request({ ':path': '/item', accept: 'text/event-stream' });
  let body = '';
  stream.on('data', (data) => {
    body += data;
  });
  await until('the first event', () => body.includes('"um"'));
  await second.platform.db.query(`update itens set nome = 'dois' where id = 1`);
  await until('the second event', () => body.includes('"dois"'));
  stream.close();
  await until('it is gone', () => second.app.live?.streams === 0);
  session.close();
});

test('what hooks say of the answer stands on the stream, and what the answer says of its body does not', async () => {
  await using setting = await createPatientSetting();
  const { db } = setting.platform;
  setting.app.addHook('onRequest', async (request, reply) => {
    reply.header('access-control-allow-origin', request.headers.origin ?? '*');
    reply.header('content-security-policy', "default-src 'none'");
  });
  setting.app.get('/item', cached, async (_request, reply) => {
    reply.header('last-modified', 'x').header('cache-control', 'public, max-age=60');
    return (await db.query('select nome from itens where id = 1')).rows[0];
  });
  const origin = await setting.platform.listen();
  using client = await openEvents(`${origin}/item`, { origin: 'https://a.example' });
  const { headers } = client;
  assert.equal(headers['access-control-allow-origin'], 'https://a.example');
  assert.equal(headers['content-security-policy'], "default-src 'none'");
  assert.equal(headers['cache-control'], 'no-store, no-transform');
  assert.equal(headers.vary, 'accept, origin');
  for (const name of ['etag', 'last-modified', 'content-length', 'vazao-position'])
    assert.equal(headers[name], undefined);
});

test('closing tells every client to come back, and ends the streams', async () => {
  const setting = await createRoute();
  const origin = await setting.platform.listen();
  const clients = await Promise.all(Array.from({ length: 8 }, () => openEvents(`${origin}/item`)));
  for (const client of clients) await client.next();
  await setting[Symbol.asyncDispose]();
  for (const client of clients) {
    await client.until('its end', () => client.isEnded);
    const last = await client.next();
    assert.deepEqual([last.event, JSON.parse(last.data)], ['end', { reason: 'restart' }]);
    assert.equal(client.retries.length, 2);
    assert.ok(client.text.endsWith('\n\n'), 'the last event is whole');
  }
});

test('while the feed is away streams stay open; when it is back they get the newest state', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  await using platform = await createTestPlatform(database, {
    schema: `create table itens (id int primary key, nome text not null);
      insert into itens select n, 'item ' || n from generate_series(1, 30) n;`,
    feed: { connection: proxy.through(database.url) },
    plugin: { live: { computingMax: 3 } },
  });
  let running = 0;
  let most = 0;
  let computed = 0;
  platform.app.get<{ Params: { id: string } }>('/itens/:id', cached, async ({ params }) => {
    computed++;
    most = Math.max(most, ++running);
    const { rows } = await platform.db.query('select nome from itens where id = $1', [params.id]);
    running--;
    return rows[0];
  });
  const origin = await platform.listen();
  const clients: EventClient[] = [];
  for (let id = 1; id <= 30; id++) {
    const client = await openEvents(`${origin}/itens/${id}`);
    assert.deepEqual(await client.nextJson(), { nome: `item ${id}` });
    clients.push(client);
  }
  proxy.cut();
  await until('the feed is not fresh', () => !platform.feed.isFresh());
  await database.pool.query(`update itens set nome = 'sem feed ' || id where id <= 15`);
  const before = computed;
  most = 0;
  proxy.resume();
  for (const [i, client] of clients.slice(0, 15).entries())
    assert.deepEqual(await client.nextJson(), { nome: `sem feed ${i + 1}` });
  await until('all were computed', () => computed - before >= 30 && running === 0);
  assert.ok(most <= 3, `at most 3 at a time, not ${most}`);
  for (const client of clients) {
    assert.equal(client.isEnded, false);
    assert.equal(
      client.events.length,
      client.events[0]?.data.match(/item (\d+)/)?.[1] && clients.indexOf(client) < 15 ? 2 : 1,
    );
    client[Symbol.dispose]();
  }
});

test('who carries a position is never shown an older state first', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy(database.url);
  await using platform = await createTestPlatform(database, {
    schema: `create table itens (id int primary key, nome text not null); insert into itens values (1, 'um')`,
    feed: { connection: proxy.through(database.url), leaseMs: 60_000, silenceMs: 60_000 },
    plugin: { writeWaitMaxMs: 20, readWaitMaxMs: 20, answerWaitMaxMs: 20, live: { heartbeatMs: 400 } },
  });
  const { app, db } = platform;
  app.get('/item', cached, async () => (await db.query('select nome from itens where id = 1')).rows[0]);
  app.post('/item', async () => {
    await db.query(`update itens set nome = 'escrito' where id = 1`);
    return { ok: true };
  });
  const origin = await platform.listen();
  // An answer that the feed did not reach in 20 ms is not kept.
  await until('it is kept', async () => (await platform.get('/item')).cacheStatus.includes('; hit;'));
  using early = await openEvents(`${origin}/item`);
  assert.deepEqual(await early.nextJson(), { nome: 'um' });
  proxy.pause();
  const written = await fetch(`${origin}/item`, { method: 'POST' });
  const position = written.headers.get('vazao-position') as string;
  const unbound = await platform.get('/item');
  assert.match(unbound.text, /um/, `without a position: as old as the feed (${unbound.cacheStatus})`);
  using own = await openEvents(`${origin}/item`, { 'vazao-position': position });
  assert.deepEqual(await own.nextJson(), { nome: 'escrito' });
  using back = await openEvents(`${origin}/item`, { 'last-event-id': `${position}.${'A'.repeat(22)}` });
  assert.deepEqual(await back.nextJson(), { nome: 'escrito' }, 'an id carries the position, too');
  proxy.resume();
  assert.deepEqual(await early.nextJson(), { nome: 'escrito' });
  await platform.settled();
  await db.query(`update itens set nome = 'depois' where id = 1`);
  for (const client of [early, own, back]) {
    assert.deepEqual(await client.nextJson(), { nome: 'depois' });
    assert.equal(client.events.filter(({ data }) => data.includes('um')).length, client === early ? 1 : 0);
  }
});

test('an answer with a time to live is computed again when that ends', async () => {
  await using setting = await createPatientSetting();
  const { db } = setting.platform;
  setting.app.get('/hora', { config: { cache: { ttl: 150, liveInterval: 0 } } }, async () => {
    return (await db.query('select now()::text as hora')).rows[0];
  });
  const origin = await setting.platform.listen();
  using client = await openEvents(`${origin}/hora`);
  const seen = [await client.nextJson(), await client.nextJson(), await client.nextJson()] as { hora: string }[];
  assert.equal(new Set(seen.map(({ hora }) => hora)).size, 3);
});

test("Node's own EventSource reads the stream, and comes back where it was", async () => {
  await using setting = await createRoute({ plugin: { live: { random: () => 0 } } });
  setting.app.post('/cortar', async (_request, reply) => {
    reply.raw.once('close', () => setting.app.server.closeAllConnections());
    return { ok: true };
  });
  const origin = await setting.platform.listen();
  const script = `
    setInterval(() => {}, 1000);
    const [origin] = process.argv.slice(1);
    const post = (path, nome) => fetch(origin + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ nome }) });
    const source = new EventSource(origin + '/item');
    let opened = 0;
    source.onopen = () => { if (++opened === 2) post('/item', 'três'); };
    source.onmessage = ({ data }) => {
      process.stdout.write(data + '\\n');
      if (data.includes('um')) post('/item', 'dois');
      if (data.includes('dois')) post('/cortar').catch(() => {});
      if (data.includes('três')) process.exit();
    };`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--experimental-eventsource', '-e', script, origin], {
    timeout: 240_000,
  });
  assert.equal(stdout, '{"nome":"um"}\n{"nome":"dois"}\n{"nome":"três"}\n', 'what it had seen is not repeated');
});
