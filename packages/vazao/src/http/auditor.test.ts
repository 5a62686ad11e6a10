import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createPatientSetting, createSetting, type Setting, until } from '../testing/cached-app.ts';
import { createRandom } from '../testing/random.ts';
import { Auditor, SHARE_MAX_DEFAULT } from './auditor.ts';
import type { StoredResponse } from './stored-response.ts';

const cached = { config: { cache: true } };

/** Every hit is a sample. */
async function createAudited(logged: string[] = []): Promise<Setting> {
  const stream = { write: (line: string) => void logged.push(line) };
  return createSetting({
    plugin: { audit: { oneIn: 1e-9, shareMax: 1_000 } },
    fastify: { logger: { level: 'error', stream } },
  });
}

async function audited({ platform }: Setting, path: string, headers?: Record<string, string>): Promise<string> {
  const figures = { ...platform.app.audit };
  assert.match((await platform.get(path, headers)).cacheStatus, /; hit;/);
  const outcomes = ['equal', 'unknown', 'wrong'] as const;
  const ended = (): string | undefined => outcomes.find((name) => platform.app.audit?.[name] !== figures[name]);
  await until('the audit has ended', () => ended() !== undefined);
  return ended() as string;
}

test('a right hit is found to be right, for one user and in spite of conditions and tokens', async () => {
  await using setting = await createAudited();
  const { app, platform, read } = setting;
  app.get('/x', cached, async (request) => `${await read()} ${request.headers['x-who']}`);
  await platform.listen();
  const { headers } = await platform.get('/x', { 'x-who': 'a' });
  assert.equal(await audited(setting, '/x', { 'x-who': 'a' }), 'equal');
  const carried = { 'x-who': 'a', 'vazao-position': headers.get('vazao-position') as string };
  assert.equal(await audited(setting, '/x', carried), 'equal');
  const condition = { 'x-who': 'a', 'if-none-match': headers.get('etag') as string };
  const before = app.audit?.equal;
  assert.equal((await platform.get('/x', condition)).status, 304);
  await until('the audit has ended', () => app.audit?.equal !== before);
  assert.equal(app.audit?.wrong, 0);
});

test('a wrong hit is counted, told with both values, and gone', async () => {
  const logged: string[] = [];
  await using setting = await createAudited(logged);
  const { app, platform, read } = setting;
  app.get('/x', cached, read);
  await platform.listen();
  await platform.get('/x');
  // What no change would ever do: the entry is altered in its place.
  const stored = platform.cache.get('/x')?.value as { body: Buffer } & StoredResponse;
  stored.body = Buffer.from('dois');
  assert.equal(await audited(setting, '/x'), 'wrong');
  assert.equal((await platform.get('/x')).text, 'um');
  const line = JSON.parse(logged.find((text) => text.includes('wrong hit')) as string);
  assert.equal(line.served.body, 'dois');
  assert.equal(line.database.body, 'um');
  assert.equal(line.url, '/x');
});

test('a handler that answers from something else than the database is found out', async () => {
  await using setting = await createAudited();
  const { app, platform, read } = setting;
  let elsewhere = 'a';
  app.get('/x', cached, async () => `${await read()} ${elsewhere}`);
  await platform.listen();
  await platform.get('/x');
  elsewhere = 'b';
  assert.equal(await audited(setting, '/x'), 'wrong');
});

test('an answer that changes while it is computed again proves nothing', async () => {
  await using setting = await createAudited();
  const { app, platform, read } = setting;
  let during = async (): Promise<unknown> => undefined;
  app.get('/x', cached, async () => {
    const nome = await read();
    await during();
    return nome;
  });
  await platform.listen();
  await platform.get('/x');
  during = async () => {
    during = async () => undefined;
    await platform.db.query(`update itens set nome = 'outro' where id = 1`).catch(() => {});
  };
  assert.equal(await audited(setting, '/x'), 'unknown');
  assert.equal(app.audit?.wrong, 0);
});

test('a computation that fails, however often, proves nothing', async () => {
  await using setting = await createAudited();
  const { app, platform, read } = setting;
  let fails = false;
  app.get('/x', cached, async () => {
    const nome = await read();
    if (fails) throw new Error('overloaded');
    return nome;
  });
  await platform.listen();
  await platform.get('/x');
  fails = true;
  assert.equal(await audited(setting, '/x'), 'unknown');
  assert.match((await platform.get('/x')).cacheStatus, /; hit;/);
});

test('an answer with a ttl is compared like any other: until that ends, each change ends the answer', async () => {
  await using setting = await createAudited();
  const { app, platform, read } = setting;
  app.get('/x', { config: { cache: { ttl: '1h' } } }, read);
  await platform.listen();
  await platform.get('/x');
  assert.equal(await audited(setting, '/x'), 'equal');
  const stored = platform.cache.get('/x')?.value as { body: Buffer } & StoredResponse;
  stored.body = Buffer.from('dois');
  assert.equal(await audited(setting, '/x'), 'wrong');
});

test('what depends on the time, by a statement or by its route, or reads nothing, is left alone', async () => {
  await using setting = await createSetting({ plugin: { audit: false } });
  const { app, platform, read } = setting;
  const cache = { ttl: '1h' } as const;
  app.get('/now', { config: { cache } }, async () => {
    const { rows } = await platform.db.query('select nome, now() as agora from itens where id = 1');
    return rows[0];
  });
  app.get('/clock', { config: { cache: { ...cache, audit: false } } }, async () => `${await read()} ${Date.now()}`);
  app.get('/nothing', { config: { cache } }, () => 'nothing');
  app.get('/ttl', { config: { cache } }, read);
  await platform.listen();
  const { feed } = platform;
  const auditor = new Auditor(app, { cache: platform.cache, feed, oneIn: 1e-9, shareMax: 1_000 });
  for (const path of ['/now', '/clock', '/nothing', '/ttl']) {
    await platform.get(path);
    assert.match((await platform.get(path)).cacheStatus, /; hit;/, path);
    const request = { url: path, rawHeaders: [], socket: {} } as never;
    auditor.sample(platform.cache.get(path) as never, request);
    assert.equal(auditor.figures.sampled, path === '/ttl' ? 1 : 0, path);
  }
  await until('it ended', () => auditor.figures.equal === 1);
});

test('where other writers go unseen nothing is called wrong', async () => {
  await using setting = await createSetting({ plugin: { audit: false }, feed: { source: 'app' } });
  const { app, platform, read } = setting;
  app.get('/x', cached, read);
  await platform.listen();
  await platform.get('/x');
  const { cache, feed } = platform;
  const auditor = new Auditor(app, { cache, feed, oneIn: 1e-9, shareMax: 1_000 });
  const entry = cache.get('/x');
  assert.equal(entry?.usesTime, false);
  auditor.sample(entry as never, { url: '/x', rawHeaders: [], socket: {} } as never);
  assert.equal(auditor.figures.sampled, 0);
});

test('the share of time is a bound', async () => {
  await using setting = await createSetting();
  const { app, platform, read } = setting;
  app.get('/x', cached, read);
  await platform.listen();
  await platform.get('/x');
  const { cache, feed } = platform;
  const request = { url: '/x', rawHeaders: [], socket: {} } as never;
  const auditor = new Auditor(app, { cache, feed, oneIn: 1e-9, shareMax: 0.001 });
  for (let n = 0; n < 5; n++) {
    const { sampled, equal } = auditor.figures;
    auditor.sample(cache.get('/x') as never, request);
    if (auditor.figures.sampled > sampled) await until('it ended', () => auditor.figures.equal > equal);
  }
  assert.equal(auditor.figures.sampled, 1, 'the first one spends what there is');
});

test('unless it is told otherwise it takes a hundredth of the time that passes, and of one second at once', async () => {
  await using setting = await createPatientSetting({ plugin: { audit: false } });
  const { app, platform, read } = setting;
  const { cache, feed } = platform;
  /** Of each audit: how long it took, and what all before it had taken when it began. */
  const audits: { readonly tookMs: number; readonly beforeMs: number; readonly sinceMs: number }[] = [];
  let startedAtMs: number | undefined;
  app.get('/x', cached, async () => {
    if (startedAtMs === undefined) return read();
    const [begin, beforeMs] = [performance.now(), audits.reduce((sum, { tookMs }) => sum + tookMs, 0)];
    const nome = await read();
    await delay(20);
    audits.push({ tookMs: performance.now() - begin, beforeMs, sinceMs: begin - startedAtMs });
    return nome;
  });
  await platform.listen();
  await platform.get('/x');
  startedAtMs = performance.now();
  const auditor = new Auditor(app, { cache, feed, oneIn: 1e-9 });
  await until('the second one, a second or two later', () => {
    auditor.sample(cache.get('/x') as never, { url: '/x', rawHeaders: [], socket: {} } as never);
    return audits.length >= 2;
  });
  for (const { beforeMs, sinceMs } of audits) {
    const allowedMs = (sinceMs + 1_000) / 100;
    assert.ok(beforeMs <= allowedMs, `${beforeMs} ms were spent, and ${allowedMs} allowed`);
  }
  assert.equal(SHARE_MAX_DEFAULT, 0.01, 'docs/caching.md says so');
});

test('one hit in so many, on average', async (context) => {
  const { next } = createRandom(context);
  await using setting = await createSetting({ plugin: { audit: false } });
  const { app, platform, read } = setting;
  app.get('/x', cached, read);
  await platform.listen();
  await platform.get('/x');
  assert.equal(app.audit, undefined);
  const { feed, cache } = platform;
  let draws = 0;
  const counted = (): number => {
    draws++;
    return next();
  };
  const auditor = new Auditor(app, { cache, feed, oneIn: 100, random: counted });
  const note = { snapshot: undefined } as never;
  for (let n = 0; n < 100_000; n++) auditor.sample(note, {} as never);
  // 1,000 expected with a deviation of 32; the bound is five of them.
  assert.ok(Math.abs(draws - 1_000) < 160, `${draws} of 100,000`);
});
