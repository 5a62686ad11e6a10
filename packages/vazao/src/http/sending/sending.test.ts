/** How answers are sent, over a real connection: codings, conditions, parts. */
import assert from 'node:assert/strict';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { test } from 'node:test';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { entrySizeBytes } from '../../cache/entry.ts';
import type { Entry } from '../../cache/index.ts';
import { cached, createSetting, type Setting, until } from '../../testing/cached-app.ts';
import { countBytes, type Representation, type StoredResponse } from '../stored-response.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Decoded. */
  readonly text: string;
}

const LONG = 'doação '.repeat(400);

/** Without what `fetch` adds of its own. */
async function ask(origin: string, path: string, headers = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(origin);
    httpRequest({ hostname, port, path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        const coding = response.headers['content-encoding'];
        const decode = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync };
        const plain = coding && body.length > 0 ? decode[coding as keyof typeof decode](body) : body;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body, text: String(plain) });
      });
    })
      .on('error', reject)
      .end();
  });
}

async function start(): Promise<Setting & { origin: string }> {
  const setting = await createSetting();
  const { app, read } = setting;
  app.get('/long', cached, async (_request, reply) => reply.type('text/plain').send(`${await read()} ${LONG}`));
  app.get('/short', cached, async () => ({ nome: await read() }));
  app.get('/dated', cached, async (_request, reply) => {
    reply.header('last-modified', 'Sun, 06 Nov 1994 08:49:37 GMT').header('etag', 'W/"v1"').type('text/plain');
    return `${await read()} ${LONG}`;
  });
  app.get('/plain', { config: { cache: true, compress: false } }, async (_request, reply) =>
    reply.type('text/plain').send(`${await read()} ${LONG}`),
  );
  app.get('/missing', cached, async (_request, reply) => reply.code(404).send({ nome: await read() }));
  app.get('/uncached', async (_request, reply) => reply.type('text/plain').header('etag', '"u"').send(LONG));
  app.get('/uncached/short', async () => ({ nome: await read() }));
  app.get('/uncached/plain', { config: { compress: false } }, async (_request, reply) =>
    reply.type('text/plain').send(LONG),
  );
  app.get('/uncached/varied', async (_request, reply) => reply.type('text/plain').header('vary', 'origin').send(LONG));
  const origin = await setting.platform.listen();
  return Object.assign(setting, { origin });
}

function isHit(answer: Answer): boolean {
  return String(answer.headers['cache-status']).startsWith('vazao; hit');
}

test('an answer is sent by gzip from its first reader on, with fields of its own', async () => {
  await using setting = await start();
  const { origin } = setting;
  const miss = await ask(origin, '/long', { 'accept-encoding': 'gzip' });
  assert.match(String(miss.headers['cache-status']), /uri-miss/);
  const hit = await ask(origin, '/long', { 'accept-encoding': 'gzip' });
  const plain = await ask(origin, '/long');
  for (const encoded of [miss, hit]) {
    assert.equal(encoded.headers['content-encoding'], 'gzip');
    assert.equal(encoded.headers['content-length'], String(encoded.body.length));
    assert.ok(encoded.body.length < plain.body.length / 10);
    assert.equal(encoded.text, `um ${LONG}`);
    assert.equal(encoded.headers.etag, `${String(plain.headers.etag).slice(0, -1)}-gzip"`);
  }
  assert.equal(plain.headers['content-encoding'], undefined);
  assert.equal(plain.text, `um ${LONG}`);
  for (const { headers } of [miss, hit, plain]) assert.equal(headers.vary, 'accept-encoding');
});

test('what is short, or says that it stays as it is, does not vary by what a client takes', async () => {
  await using setting = await start();
  for (const path of ['/short', '/plain', '/uncached/short', '/uncached/plain']) {
    for (let time = 0; time < 2; time++) {
      const { headers } = await ask(setting.origin, path, { 'accept-encoding': 'gzip, br' });
      assert.equal(headers['content-encoding'], undefined, path);
      assert.equal(headers.vary, undefined, path);
    }
  }
});

test('Brotli is made when enough have come who would rather have it, and counts in the cache', async () => {
  await using setting = await start();
  const { origin, platform } = setting;
  const headers = { 'accept-encoding': 'gzip, deflate, br, zstd' };
  assert.equal((await ask(origin, '/long', headers)).headers['content-encoding'], 'gzip');
  let last: Answer | undefined;
  await until('Brotli is there', async () => {
    last = await ask(origin, '/long', headers);
    return last.headers['content-encoding'] === 'br';
  });
  assert.equal(last?.text, `um ${LONG}`);
  assert.match(String(last?.headers.etag), /-br"$/);
  const entry = platform.cache.peek('/long') as Entry<StoredResponse>;
  const { codings, bytes } = entry.value;
  const added = [codings?.gzip, codings?.br].map((one) => {
    const { head, body } = one as Representation;
    return countBytes(head.with(-1, ''), body); // as it was before a `Cache-Status` was written into it
  });
  const withoutCodings = entrySizeBytes(entry.key, bytes, entry.terms);
  assert.equal(
    entry.sizeBytes,
    added.reduce((sum, one) => sum + one, withoutCodings),
  );
  // Who has the older form has the answer.
  const etag = String((await ask(origin, '/long', { 'accept-encoding': 'gzip' })).headers.etag);
  const current = await ask(origin, '/long', { ...headers, 'if-none-match': etag });
  assert.equal(current.status, 304);
  assert.equal(current.headers.etag, etag);
});

test('who refuses an answer as it is gets a coding, or 406', async () => {
  await using setting = await start();
  const { origin } = setting;
  await ask(origin, '/long');
  const only = await ask(origin, '/long', { 'accept-encoding': 'zstd, identity;q=0' });
  assert.equal(only.headers['content-encoding'], 'zstd');
  assert.equal(only.text, `um ${LONG}`);
  const none = await ask(origin, '/long', { 'accept-encoding': 'compress, *;q=0' });
  assert.equal(none.status, 406);
  assert.equal(none.body.length, 0);
  // What has one form is not negotiated, and is sent (RFC 9110, 12.5.1: the field is disregarded).
  assert.equal((await ask(origin, '/short', { 'accept-encoding': '*;q=0' })).status, 200);
});

test('a condition is met by any form of the answer that the client takes, and by no other', async () => {
  await using setting = await start();
  const { origin } = setting;
  // Who takes gzip waits until it is there.
  const gzip = String((await ask(origin, '/long', { 'accept-encoding': 'gzip' })).headers.etag);
  const plain = String((await ask(origin, '/long')).headers.etag);
  const status = async (etag: string, acceptEncoding?: string): Promise<number> => {
    const headers = {
      'if-none-match': etag,
      ...(acceptEncoding !== undefined && { 'accept-encoding': acceptEncoding }),
    };
    const answer = await ask(origin, '/long', headers);
    if (answer.status === 304) {
      assert.equal(answer.body.length, 0);
      assert.equal(answer.headers.vary, 'accept-encoding');
      assert.ok(etag === '*' || etag.includes(String(answer.headers.etag)));
    }
    return answer.status;
  };
  assert.equal(await status(plain), 304);
  assert.equal(await status(plain, 'gzip'), 304);
  assert.equal(await status(gzip, 'gzip'), 304);
  assert.equal(await status(`"other", W/${gzip}`, 'gzip'), 304);
  assert.equal(await status('*'), 304);
  // A copy that this client could not read, from a cache on the way.
  assert.equal(await status(gzip), 200);
  assert.equal(await status(gzip, 'br'), 200);
  assert.equal(await status(plain, 'gzip, identity;q=0'), 200);
  assert.equal(await status('"other"', 'gzip'), 200);
});

test('conditions by date and If-Match hold on misses and on hits, and for answers of status 2xx alone', async () => {
  await using setting = await start();
  const { origin } = setting;
  const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
  for (const which of ['a miss', 'a hit']) {
    setting.platform.cache.purge('/dated');
    if (which === 'a hit') await ask(origin, '/dated');
    const since = await ask(origin, '/dated', { 'if-modified-since': date });
    assert.equal(since.status, 304, which);
    assert.equal(since.headers.etag, 'W/"v1"');
    assert.equal(since.headers['last-modified'], undefined);
  }
  const failed = await ask(origin, '/dated', { 'if-unmodified-since': 'Sun, 06 Nov 1994 08:49:36 GMT' });
  assert.equal(failed.status, 412);
  assert.equal(failed.body.length, 0);
  assert.equal((await ask(origin, '/dated', { 'if-match': 'W/"v1"' })).status, 412);
  assert.equal((await ask(origin, '/dated', { 'if-match': '*' })).status, 200);
  // A weak tag is the same for all forms.
  await until('a hit is encoded', async () => {
    const { headers } = await ask(origin, '/dated', { 'accept-encoding': 'gzip' });
    assert.equal(headers.etag, 'W/"v1"');
    return headers['content-encoding'] === 'gzip';
  });
  const { etag } = (await ask(origin, '/missing')).headers;
  for (const headers of [{ 'if-none-match': String(etag) }, { 'if-match': '"other"' }])
    assert.equal((await ask(origin, '/missing', headers)).status, 404);
});

test('a part that is asked for comes as the whole, which says so', async () => {
  await using setting = await start();
  const { origin } = setting;
  for (const time of ['a miss', 'a hit']) {
    const answer = await ask(origin, '/long', { range: 'bytes=0-9', 'if-range': '"x"' });
    assert.equal(answer.status, 200, time);
    assert.equal(answer.headers['accept-ranges'], 'none', time);
    assert.equal(answer.text, `um ${LONG}`);
  }
  assert.equal((await ask(origin, '/long')).headers['accept-ranges'], undefined);
});

test('HEAD says what GET would, of each form', async () => {
  await using setting = await start();
  const { origin } = setting;
  for (const path of ['/long', '/short', '/dated']) {
    // Who takes gzip waits until it is there.
    await ask(origin, path, { 'accept-encoding': 'gzip' });
    for (const acceptEncoding of ['gzip', 'identity']) {
      const headers = { 'accept-encoding': acceptEncoding };
      const get = await ask(origin, path, headers);
      const head = await ask(origin, path, headers, 'HEAD');
      assert.equal(head.body.length, 0);
      assert.deepEqual(
        { ...head.headers, date: '', 'cache-status': '' },
        { ...get.headers, date: '', 'cache-status': '' },
      );
    }
  }
  const head = await ask(origin, '/uncached', { 'accept-encoding': 'gzip' }, 'HEAD');
  assert.equal(head.headers['content-length'], undefined);
  assert.equal(head.headers.vary, 'accept-encoding');
  assert.equal((await ask(origin, '/uncached', {}, 'HEAD')).headers['content-length'], String(Buffer.byteLength(LONG)));
});

test('an answer that is not cached is encoded for its reader, with a tag that says so', async () => {
  await using setting = await start();
  const { origin } = setting;
  for (const coding of ['gzip', 'br', 'zstd']) {
    const answer = await ask(origin, '/uncached', { 'accept-encoding': coding });
    assert.equal(answer.headers['content-encoding'], coding);
    assert.equal(answer.headers['content-length'], String(answer.body.length));
    assert.equal(answer.text, LONG);
    assert.equal(answer.headers.etag, 'W/"u"');
    assert.equal(answer.headers.vary, 'accept-encoding');
  }
  const plain = await ask(origin, '/uncached');
  assert.equal(plain.headers.etag, '"u"');
  assert.equal(plain.headers.vary, 'accept-encoding');
  assert.equal(
    (await ask(origin, '/uncached/varied', { 'accept-encoding': 'br' })).headers.vary,
    'origin, accept-encoding',
  );
});

test('hooks of the application see what its handlers sent, whatever the client gets', async () => {
  await using setting = await createSetting();
  const { app, read, platform } = setting;
  const seen: unknown[] = [];
  app.addHook('onSend', async (_request, _reply, payload) => {
    seen.push(payload);
    return `${payload}!`;
  });
  for (const [path, options] of [
    ['/cached', cached],
    ['/uncached', {}],
  ] as const)
    app.get(path, options, async (_request, reply) => reply.type('text/plain').send(`${await read()} ${LONG}`));
  const origin = await platform.listen();
  for (const path of ['/cached', '/uncached']) {
    const answer = await ask(origin, path, { 'accept-encoding': 'gzip' });
    assert.equal(answer.text, `um ${LONG}!`, path);
    assert.equal(answer.headers['content-encoding'], 'gzip', path);
  }
  assert.deepEqual(seen, [`um ${LONG}`, `um ${LONG}`]);
});

test('a crowd that waits for one computation gets its codings', async () => {
  await using setting = await start();
  const { origin } = setting;
  const crowd = await Promise.all(
    Array.from({ length: 20 }, (_, n) => ask(origin, '/long', n % 2 ? { 'accept-encoding': 'gzip' } : {})),
  );
  for (const [n, answer] of crowd.entries()) {
    assert.equal(answer.text, `um ${LONG}`);
    // A hit does not wait for what is being encoded.
    if (!isHit(answer)) assert.equal(answer.headers['content-encoding'], n % 2 ? 'gzip' : undefined);
  }
});
