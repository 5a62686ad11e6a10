/** Sessions in a cached application: who is asking, keys, log-out, and a store that does not answer. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { createTestDatabase, type TestDatabase } from '../../../testing/database.ts';
import { createTestPlatform, type TestPlatform } from '../../../testing/platform.ts';
import { securityPlugin } from '../plugin.ts';
import { createSecurityTables } from '../tables.ts';
import { createPostgresSessionStore } from './postgres-store.ts';
import { SessionIds } from './session-id.ts';
import { Sessions } from './sessions.ts';
import type { SessionStore } from './store.ts';

const SECRET = 'a secret of the tests, long enough for all that is signed';
const LIFETIMES = { idleS: 600, absoluteS: 3_600 };
const cached = { config: { cache: true } } as const;

interface Setting extends AsyncDisposable {
  readonly platform: TestPlatform;
  readonly sessions: Sessions;
  readonly database: TestDatabase;
  readonly lines: string[];
  /** Sends a request as a browser does; gives the cookie on. */
  ask(path: string, options?: { cookie?: string; body?: unknown; headers?: Record<string, string> }): Promise<Asked>;
  logIn(id: string, cookie?: string): Promise<string>;
}

interface Asked {
  readonly status: number;
  readonly text: string;
  readonly cacheStatus: string;
  readonly setCookie: string;
  /** As the browser sends it next. */
  readonly cookie: string;
  readonly headers: Headers;
}

async function createSetting(
  recheckMs = 60_000,
  wrap = (store: SessionStore): SessionStore => store,
): Promise<Setting> {
  const database = await createTestDatabase();
  await createSecurityTables(database.pool);
  const lines: string[] = [];
  const store = wrap(createPostgresSessionStore({ db: database.pool, ...LIFETIMES }));
  const sessions = new Sessions({ store, secret: SECRET, ...LIFETIMES, recheckMs, storeTimeoutMs: 10_000 });
  const platform = await createTestPlatform(database, {
    schema: 'create table itens (id int primary key, nome text not null); insert into itens values (1, $$um$$);',
    plugin: { identify: sessions.identify, explain: true },
    fastify: { logger: { level: 'trace', stream: { write: (line) => void lines.push(line) } } },
  });
  await platform.app.register(securityPlugin, { sessions });
  registerRoutes(platform.app, platform);
  const origin = await platform.listen();
  const ask: Setting['ask'] = async (path, { cookie, body, headers } = {}) => {
    const response = await fetch(origin + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(cookie && { cookie }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const setCookie = response.headers.getSetCookie().find((line) => line.startsWith('__Host-session=')) ?? '';
    return {
      status: response.status,
      text: await response.text(),
      cacheStatus: response.headers.get('cache-status') ?? '',
      setCookie,
      cookie: setCookie.split(';')[0] ?? '',
      headers: response.headers,
    };
  };
  return {
    platform,
    sessions,
    database,
    lines,
    ask,
    async logIn(id, cookie) {
      const answer = await ask('/log-in', { body: { id }, ...(cookie && { cookie }) });
      assert.equal(answer.status, 200, answer.text);
      return answer.cookie;
    },
    async [Symbol.asyncDispose]() {
      await platform[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

function registerRoutes(app: FastifyInstance, { db }: TestPlatform): void {
  const item = async (): Promise<string> => (await db.query('select nome from itens where id = 1')).rows[0].nome;
  app.get('/public', cached, item);
  app.get('/mine', cached, async ({ user }) => `${await item()} ${user?.id ?? 'nobody'}`);
  app.get('/basket', cached, async ({ session }) => `${await item()} ${JSON.stringify(await session.read())}`);
  app.get('/own-reading', cached, async ({ headers }) => `${await item()} ${headers.cookie?.length}`);
  app.get('/handle', async ({ session }) => session.handle);
  app.get('/form', async ({ session }) => session.csrfToken());
  app.post<{ Body: { id: string } }>('/log-in', async ({ session, body }) => {
    await session.logIn({ id: body.id });
    return 'well';
  });
  app.post<{ Body: Record<string, unknown> }>('/basket', async ({ session, body }) => {
    await session.write(body);
    return 'well';
  });
  app.post('/log-out', async ({ session }) => {
    await session.logOut();
    return 'well';
  });
  app.post('/log-out-everywhere', async ({ session }) => {
    await session.logOutEverywhere();
    return 'well';
  });
  app.post('/token', { config: { csrf: 'token' } }, async () => 'well');
}

test('a session begins when something is remembered, with a cookie that only its host gets and no script reads', async () => {
  await using setting = await createSetting();
  assert.equal((await setting.ask('/public')).setCookie, '');
  assert.equal((await setting.ask('/log-out', { body: {} })).setCookie, '');
  const { setCookie, headers } = await setting.ask('/basket', { body: { cesta: [1] } });
  assert.match(setCookie, /^__Host-session=[\w-]{54}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure$/);
  assert.equal(headers.get('cache-control'), 'no-store');
  const { rows } = await setting.database.pool.query('select count(*)::int as count from vazao.sessions');
  assert.equal(rows[0].count, 1);
});

test('log-in gives another id, keeps what was remembered, and ends the session before', async () => {
  await using setting = await createSetting();
  const before = (await setting.ask('/basket', { body: { cesta: [1] } })).cookie;
  const after = await setting.logIn('ana', before);
  assert.notEqual(after, before);
  assert.match((await setting.ask('/basket', { cookie: after })).text, /"cesta":\[1\]/);
  assert.match((await setting.ask('/mine', { cookie: after })).text, /ana/);
  assert.match((await setting.ask('/mine', { cookie: before })).text, /nobody/);
  const again = await setting.logIn('bia', after);
  assert.match((await setting.ask('/mine', { cookie: after })).text, /nobody/);
  assert.match((await setting.ask('/mine', { cookie: again })).text, /bia/);
  // A write to a session that has ended begins an anonymous one.
  const late = await setting.ask('/basket', { cookie: after, body: { x: 1 } });
  assert.ok(late.cookie && late.cookie !== after);
  assert.match((await setting.ask('/mine', { cookie: late.cookie })).text, /nobody/);
});

test('an answer that reads the user is kept for each user, and one that reads nothing for everybody', async () => {
  await using setting = await createSetting();
  const [ana, anas, bia] = [await setting.logIn('ana'), await setting.logIn('ana'), await setting.logIn('bia')];
  for (const [cookie, text] of [
    [ana, 'um ana'],
    [bia, 'um bia'],
    [undefined, 'um nobody'],
  ] as const) {
    assert.equal((await setting.ask('/mine', { ...(cookie && { cookie }) })).text, text);
    const hit = await setting.ask('/mine', { ...(cookie && { cookie }) });
    assert.equal(hit.text, text);
    assert.match(hit.cacheStatus, /; hit;/);
    assert.equal(hit.headers.get('vary'), 'cookie');
    assert.match(hit.headers.get('cache-control') ?? '', /private/);
  }
  const other = await setting.ask('/mine', { cookie: anas });
  assert.match(other.cacheStatus, /; hit;/, 'two sessions of one user share what is kept for the user');
  await setting.ask('/public', { cookie: ana });
  assert.match((await setting.ask('/public')).cacheStatus, /; hit;/);
});

test('what uses the session itself, or its cookie, is not stored', async () => {
  await using setting = await createSetting();
  const cookie = await setting.logIn('ana');
  for (const [path, reason] of [
    ['/basket', /session/],
    ['/own-reading', /session-cookie/],
  ] as const) {
    assert.match((await setting.ask(path, { cookie })).cacheStatus, reason, path);
    assert.doesNotMatch((await setting.ask(path, { cookie })).cacheStatus, /; hit;/, path);
  }
});

test('log-out ends a session at once, and log-out everywhere all of the user', async () => {
  await using setting = await createSetting();
  const [one, two, three, bia] = await Promise.all(['ana', 'ana', 'ana', 'bia'].map((id) => setting.logIn(id)));
  const user = async (cookie: string | undefined): Promise<string> =>
    (await setting.ask('/mine', { ...(cookie && { cookie }) })).text.replace('um ', '');
  // Twice, so that the answers are hits and the sessions remembered.
  for (let n = 0; n < 2; n++) for (const cookie of [one, two, three]) assert.equal(await user(cookie), 'ana');
  const gone = await setting.ask('/log-out', { cookie: one as string, body: {} });
  assert.match(gone.setCookie, /^__Host-session=; Path=\/; Max-Age=0;/);
  assert.equal(gone.headers.get('clear-site-data'), '"cache", "storage"');
  assert.equal(await user(one), 'nobody');
  assert.equal(await user(two), 'ana');
  await setting.ask('/log-out-everywhere', { cookie: two as string, body: {} });
  for (const cookie of [two, three]) assert.equal(await user(cookie), 'nobody');
  assert.equal(await user(bia), 'bia');
  const { rows } = await setting.database.pool.query('select user_id from vazao.sessions');
  assert.deepEqual(rows, [{ user_id: 'bia' }]);
});

test('a user sees the own sessions, knows which is this one, and ends one of them', async () => {
  await using setting = await createSetting();
  const { sessions } = setting;
  const [here, there, bia] = await Promise.all(['ana', 'ana', 'bia'].map((id) => setting.logIn(id)));
  const user = async (cookie: string | undefined): Promise<string> =>
    (await setting.ask('/mine', { ...(cookie && { cookie }) })).text.replace('um ', '');
  for (const cookie of [here, there, bia]) await user(cookie);
  const handle = (await setting.ask('/handle', { cookie: here as string })).text;
  const listed = await sessions.list('ana');
  assert.equal(listed.length, 2);
  const other = listed.find((session) => session.handle !== handle)?.handle as string;
  assert.ok(listed.some((session) => session.handle === handle));
  // A handle is no key: neither to the session, nor to that of another user.
  assert.equal(await user(`__Host-session=${handle}`), 'nobody');
  const [{ handle: ofBia = '' } = {}] = await sessions.list('bia');
  assert.equal(await sessions.end('ana', ofBia), false);
  assert.equal(await sessions.end('ana', 'none of them'), false);
  assert.equal(await sessions.end('ana', other), true);
  assert.deepEqual([await user(here), await user(there), await user(bia)], ['ana', 'nobody', 'bia']);
  assert.equal(await sessions.end('ana', other), false);
});

test('a request during the log-out does not bring the session back', async () => {
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  await using setting = await createSetting(60_000, (store) => ({
    ...store,
    remove: async (hash) => {
      asked.resolve();
      await gate.promise;
      await store.remove(hash);
    },
  }));
  const cookie = await setting.logIn('ana');
  const gone = setting.ask('/log-out', { cookie, body: {} });
  await asked.promise;
  assert.equal((await setting.ask('/mine', { cookie })).text, 'um ana');
  gate.resolve();
  assert.equal((await gone).status, 200);
  assert.equal((await setting.ask('/mine', { cookie })).text, 'um nobody');
});

test('another process notices the end when it looks again', async () => {
  await using setting = await createSetting(0);
  const cookie = await setting.logIn('ana');
  assert.match((await setting.ask('/mine', { cookie })).text, /ana/);
  assert.match((await setting.ask('/mine', { cookie })).cacheStatus, /; hit;/);
  await setting.database.pool.query('delete from vazao.sessions');
  assert.match((await setting.ask('/mine', { cookie })).text, /nobody/);
});

test('without the store nobody becomes somebody else: public pages are answered, and what needs the user gets 503', async () => {
  let isAway = false;
  let lookups = 0;
  const wrap = (store: SessionStore): SessionStore => ({
    ...store,
    find: async (hash) => {
      lookups++;
      if (isAway) throw new Error('connect ECONNREFUSED');
      return store.find(hash);
    },
  });
  await using setting = await createSetting(0, wrap);
  const cookie = await setting.logIn('ana');
  for (let n = 0; n < 2; n++) {
    await setting.ask('/mine', { cookie });
    await setting.ask('/mine');
  }
  isAway = true;
  for (let n = 0; n < 3; n++) {
    assert.equal((await setting.ask('/public', { cookie })).text, 'um');
    assert.equal((await setting.ask('/mine')).text, 'um nobody');
    const refused = await setting.ask('/mine', { cookie });
    assert.equal(refused.status, 503);
    assert.doesNotMatch(refused.text, /um|ECONNREFUSED/);
    assert.equal((await setting.ask('/basket', { cookie })).status, 503);
  }
  isAway = false;
  const { until } = await import('../../../testing/cached-app.ts');
  await until('the user is known again', async () => (await setting.ask('/mine', { cookie })).text === 'um ana');
  // Ids that we have not made cost no look-up.
  lookups = 0;
  for (const id of ['x', randomBytes(40).toString('base64url'), 'A'.repeat(54), `${cookie.slice(15, -1)}B`]) {
    assert.equal((await setting.ask('/mine', { cookie: `__Host-session=${id}` })).text, 'um nobody');
  }
  assert.equal(lookups, 0);
});

test('the id of a session is in its cookie and nowhere else: not in keys, the store, the explanation or the log', async () => {
  await using setting = await createSetting();
  const cookie = await setting.logIn('ana');
  const id = cookie.split('=')[1] as string;
  const random = Buffer.from(id, 'base64url').subarray(0, 24);
  const hash = new SessionIds(SECRET).hashOf(id) as Buffer;
  for (const path of ['/mine', '/basket', '/own-reading']) await setting.ask(path, { cookie });
  const { rows } = await setting.database.pool.query('select * from vazao.sessions');
  const explained = await setting.ask(`/.vazao/explain?url=${encodeURIComponent('/mine')}`);
  assert.equal(explained.status, 200);
  const seen = JSON.stringify(rows) + explained.text + setting.lines.join('');
  for (const text of [id, random.toString('hex'), random.toString('base64url')]) assert.ok(!seen.includes(text));
  assert.ok(!(explained.text + setting.lines.join('')).includes(hash.toString('base64url')));
  assert.ok(setting.lines.length > 10);
});

test('a session holds a bounded amount, of any text', async () => {
  await using setting = await createSetting();
  const answer = await setting.ask('/basket', { body: { nota: 'x'.repeat(5_000) } });
  assert.equal(answer.status, 500);
  assert.equal(answer.setCookie, '');
  const { cookie } = await setting.ask('/basket', { body: { nota: '\u0000 é \ud800' } });
  assert.ok((await setting.ask('/basket', { cookie })).text.includes('\\u0000 é \\ud800'));
});

test('with sessions, requests of other sites are refused without a cookie, too, and a form may need a token', async () => {
  await using setting = await createSetting();
  const evil = { 'sec-fetch-site': 'cross-site' };
  assert.equal((await setting.ask('/log-in', { body: { id: 'ana' }, headers: evil })).status, 403);
  const { text: token, cookie } = await setting.ask('/form');
  const { text: second } = await setting.ask('/form', { cookie });
  assert.notEqual(token, second);
  const send = async (headers: Record<string, string>, body: object = {}): Promise<number> =>
    (await setting.ask('/token', { cookie, headers, body })).status;
  assert.equal(await send({ 'x-csrf-token': token }), 200);
  assert.equal(await send({}, { _csrf: second }), 200);
  const { text: others } = await setting.ask('/form');
  // Any other last digit, also one whose unread bits alone differ.
  const changed = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_']
    .map((digit) => token.slice(0, -1) + digit)
    .filter((text) => text !== token);
  for (const wrong of ['', 'x', others, token.slice(1), ...changed])
    assert.equal(await send({ 'x-csrf-token': wrong }), 403);
  assert.equal(await send({}), 403);
});

test('ids are of 192 random bits, and signed', () => {
  const ids = new SessionIds(SECRET);
  const made = Array.from({ length: 1_000 }, () => ids.create());
  assert.equal(new Set(made).size, 1_000);
  // Each random bit is set in about half of the ids; six deviations would not come in a lifetime.
  const ones = new Array<number>(192).fill(0);
  for (const id of made) {
    const bytes = Buffer.from(id, 'base64url');
    for (let bit = 0; bit < 192; bit++) ones[bit] = (ones[bit] ?? 0) + (((bytes[bit >> 3] as number) >> (bit & 7)) & 1);
  }
  assert.ok(ones.every((count) => Math.abs(count - 500) < 6 * Math.sqrt(250)));
  const [id = ''] = made;
  assert.ok(ids.hashOf(id));
  assert.equal(new SessionIds('another secret of the tests, just as long').hashOf(id), undefined);
  for (let at = 0; at < id.length; at++) {
    const changed = id.slice(0, at) + (id[at] === 'Q' ? 'g' : 'Q') + id.slice(at + 1);
    assert.equal(ids.hashOf(changed), undefined, `character ${at}`);
  }
});
