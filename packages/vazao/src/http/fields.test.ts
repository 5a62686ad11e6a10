/** The small parts: entity tags, durations, options, statuses, tokens, identities. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type Duration, parseDuration } from '../cache/index.ts';
import { bypassStatus, HitStatus, missStatus, staleStatus } from './cache-status.ts';
import { facetValue } from './facets.ts';
import { Identities, type KnownIdentity } from './identities.ts';
import { PositionTokens } from './position-token.ts';
import { resolveRouteCacheOptions } from './route-options.ts';
import { matchesEtag } from './sending/preconditions.ts';
import { createStoredResponse, headNotModified } from './stored-response.ts';

test('entity tags are compared weakly, as RFC 9110 (8.8.3.2) says', () => {
  // The table of the RFC, by weak comparison.
  assert.ok(matchesEtag('W/"1"', 'W/"1"'));
  assert.ok(!matchesEtag('W/"1"', 'W/"2"'));
  assert.ok(matchesEtag('W/"1"', '"1"'));
  assert.ok(matchesEtag('"1"', '"1"'));
  assert.ok(matchesEtag('*', '"1"'));
  assert.ok(matchesEtag('"x", W/"1" ,"y"', '"1"'));
  assert.ok(matchesEtag('"a,b", "1"', '"a,b"'));
  assert.ok(!matchesEtag('"11"', '"1"'));
  assert.ok(!matchesEtag('1', '"1"'));
  assert.ok(!matchesEtag('', '"1"'));
});

test('durations', () => {
  const cases: [string | number, number | undefined][] = [
    [250, 250],
    ['500ms', 500],
    ['2s', 2_000],
    ['1.5m', 90_000],
    ['1h', 3_600_000],
    ['30d', 2_592_000_000],
    [-1, undefined],
    [Number.NaN, undefined],
    ['2', undefined],
    ['2 s', undefined],
    ['1w', undefined],
    ['', undefined],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text as Duration), ms, String(text));
});

test('options of a route are checked, and the message says where and what', () => {
  assert.equal(resolveRouteCacheOptions(undefined, 'GET /x'), undefined);
  assert.equal(resolveRouteCacheOptions(false, 'GET /x'), undefined);
  const none = {
    ttlMs: undefined,
    staleForMs: 0,
    staleIfErrorMs: 0,
    isLive: true,
    liveIntervalMs: undefined,
    isAudited: true,
  };
  assert.deepEqual(resolveRouteCacheOptions(true, 'GET /x'), none);
  const some = { ttl: '1h', staleFor: 5, live: false, liveInterval: '2s' };
  assert.deepEqual(resolveRouteCacheOptions(some, 'GET /x'), {
    ttlMs: 3_600_000,
    staleForMs: 5,
    staleIfErrorMs: 0,
    isLive: false,
    liveIntervalMs: 2_000,
    isAudited: true,
  });
  const code = { code: 'ERR_HTTP_CACHE_OPTIONS' };
  assert.throws(() => resolveRouteCacheOptions('1h', 'GET /x'), { ...code, message: /GET \/x: config\.cache is 1h/ });
  assert.throws(() => resolveRouteCacheOptions({ tll: '1h' }, 'GET /x'), {
    ...code,
    message: /config\.cache\.tll is not known; there are ttl/,
  });
  assert.throws(() => resolveRouteCacheOptions({ ttl: 'soon' }, 'GET /x'), {
    ...code,
    message: /config\.cache\.ttl is "soon"/,
  });
  assert.throws(() => resolveRouteCacheOptions({ live: 'yes' }, 'GET /x'), {
    ...code,
    message: /config\.cache\.live is "yes"/,
  });
  assert.equal(resolveRouteCacheOptions({ ttl: '1h', audit: false }, 'GET /x')?.isAudited, false);
  assert.throws(() => resolveRouteCacheOptions({ audit: false }, 'GET /x'), { ...code, message: /Name a `ttl`/ });
});

test('Cache-Status follows the grammar of RFC 9211', () => {
  // A list member: token, then parameters whose values are booleans, integers, tokens or strings (RFC 8941).
  const member =
    /^[A-Za-z*][\w:/.!#$%&'*+^`|~-]*(; [a-z*][a-z0-9_.*-]*(=(-?\d+|[A-Za-z*][\w:/.!#$%&'*+^`|~-]*|"[\x20-\x21\x23-\x5b\x5d-\x7e]*"))?)*$/;
  let lag = 0.214;
  const status = new HitStatus(() => lag);
  assert.equal(status.text, 'vazao; hit; detail="lag=0.21ms"');
  lag = 1_234.5;
  const all = [
    status.text,
    staleStatus(1_200, 'refreshing'),
    staleStatus(0, 'error'),
    missStatus(false, 'stored'),
    missStatus(true, 'collapsed'),
    missStatus(false, { notStored: 'changed' }),
    bypassStatus('position'),
  ];
  for (const text of all) assert.match(text, member);
});

test('a position token comes back as it was given, and what is forged or none is ignored', () => {
  const position = (7n << 64n) | 0x12_0000_abcdn;
  const tokens = new PositionTokens('the secret of two hosts');
  const token = tokens.format(position);
  const cookie = tokens.cookie(token).split(';')[0] as string;
  // Another instance remembers nothing of it.
  const other = new PositionTokens('the secret of two hosts');
  assert.deepEqual(other.find(['Vazao-Position', token]), { position, token, byCookie: false });
  assert.deepEqual(other.find(['Host', 'x', 'Cookie', `a=b; ${cookie}; c=d`]), { position, token, byCookie: true });
  const later = tokens.format(position + 1n);
  for (const both of [
    ['cookie', cookie, 'vazao-position', later],
    ['vazao-position', later, 'cookie', 'a=b', 'cookie', cookie],
  ])
    assert.deepEqual(other.find(both), { position: position + 1n, token: later, byCookie: true });
  const first = token.startsWith('A') ? 'B' : 'A';
  const bad = ['', 'x', 'A'.repeat(54), token.slice(1), `${token}A`, first + token.slice(1), `=${token}`, '0/16B3748'];
  for (const text of bad) {
    assert.equal(other.find(['vazao-position', text]), undefined, text);
    assert.equal(other.find(['cookie', `vazao-position=${text}`]), undefined, text);
  }
  assert.equal(new PositionTokens('another secret').find(['vazao-position', token]), undefined);
  assert.equal(new PositionTokens(undefined).find(['vazao-position', token]), undefined);
  assert.equal(other.find([]), undefined);
});

test('a client ends up with the later of what it carried and what it sees now', () => {
  const tokens = new PositionTokens(undefined);
  const seen = { position: 10n, token: tokens.format(10n) };
  const carried = (position: bigint, byCookie: boolean) => ({ position, token: `of ${position}`, byCookie });
  assert.equal(tokens.own(undefined, seen), undefined);
  assert.deepEqual(tokens.own(carried(9n, true), seen), { token: undefined, cookie: tokens.cookie(seen.token) });
  assert.equal(tokens.own(carried(9n, false), seen), undefined);
  for (const byCookie of [true, false]) {
    assert.equal(tokens.own(carried(10n, byCookie), seen), undefined);
    assert.deepEqual(tokens.own(carried(11n, byCookie), seen), { token: 'of 11', cookie: undefined });
  }
  assert.equal(tokens.own(carried(0n, true), { position: 0n, token: undefined }), undefined);
});

const anonymous: KnownIdentity = { identity: undefined, key: '-' };

test('facets tell apart what differs: absent and empty, one cookie and another of the same name', () => {
  const values = [
    {},
    { 'x-a': '' },
    { 'x-a': '-' },
    { 'x-a': '=' },
    { 'x-a': 'a'.repeat(500) },
    { 'x-a': 'a'.repeat(501) },
  ].map((headers) => facetValue('header:x-a', headers, anonymous));
  assert.equal(new Set(values).size, values.length);
  assert.ok(values.every((value) => value.length <= 101));
  const cookies = [undefined, 't=', 't=1', 't=2', 't=1; t=2', 't=2; t=1', ' t = 1', 'tt=1', 'T=1'].map((cookie) =>
    facetValue('cookie:t', { cookie }, anonymous),
  );
  // Cookies may be secrets: their values stand in no key.
  const hashOf = (values: string): string => `#${createHash('sha256').update(values).digest('base64url')}`;
  assert.deepEqual(cookies, ['-', ...['-=', '-=1', '-=2', '-=1=2', '-=2=1', '-=1'].map(hashOf), '-', '-']);
  assert.equal(facetValue('header:cookie', { cookie: 't=1' }, anonymous), hashOf('=t=1'));
});

test('an identity is computed once for a proof, ends when the proof does, and is asked for with the named headers only', async () => {
  let calls = 0;
  const identities = new Identities({
    headers: ['authorization'],
    user: async (headers) => {
      calls++;
      assert.deepEqual(Object.keys(headers), ['authorization']);
      if (headers.authorization === 'bad') return undefined;
      return {
        id: '1',
        papel: 'admin',
        expiresAt: headers.authorization === 'old' ? Date.now() - 1 : Date.now() + 60_000,
      };
    },
  });
  const known = await identities.of({ authorization: 'good', cookie: 'x' });
  assert.equal(known.identity?.id, '1');
  assert.equal(known.key, '+{"id":"1","papel":"admin"}');
  assert.equal(await identities.of({ authorization: 'good' }), known);
  assert.equal(calls, 1);
  assert.equal((await identities.of({ authorization: 'old' })).identity, undefined);
  assert.equal((await identities.of({ authorization: 'bad' })).identity, undefined);
  assert.equal((await identities.of({})).identity, undefined);
  assert.equal(calls, 3);
});

test('a stored response leaves out what belongs to one sending, and names what it varies by', () => {
  const body = Buffer.from('{}');
  const headers = {
    'content-type': 'application/json',
    date: 'x',
    connection: 'close',
    'content-length': 99,
    'x-request-id': 'req-1',
    vary: 'Accept-Encoding',
    link: ['<a>', '<b>'],
  };
  const stored = createStoredResponse(
    { status: 200, headers, body },
    [
      ['user', '-'],
      ['header:accept-language', '=pt'],
      ['cookie:t', '-'],
    ],
    ['authorization'],
    'req-1',
    { position: 5n, token: 'T' },
    true,
  );
  const fields = new Map<string, string[]>();
  for (let i = 0; i < stored.head.length; i += 2)
    fields.set(stored.head[i] as string, [
      ...(fields.get(stored.head[i] as string) ?? []),
      stored.head[i + 1] as string,
    ]);
  assert.deepEqual(
    [...fields.keys()],
    ['content-type', 'link', 'etag', 'cache-control', 'vary', 'vazao-position', 'content-length', 'cache-status'],
  );
  assert.deepEqual(fields.get('link'), ['<a>', '<b>']);
  assert.deepEqual(fields.get('vary'), ['accept-encoding, authorization, accept-language, cookie']);
  assert.deepEqual(fields.get('content-length'), ['2']);
  assert.deepEqual(fields.get('cache-control'), ['private, no-cache']);
  assert.ok(headNotModified(stored, stored.etag).join().includes('vazao-position,T'));
});
