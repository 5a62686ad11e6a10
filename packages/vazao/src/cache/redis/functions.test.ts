/** The rules that Redis itself enforces, one by one, on a real Redis. */
import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { startRedisServer } from '../../torture/parts/redis-server.ts';
import { type Argument, openConnection } from './connection.ts';
import { type FunctionName, formatPosition, parsePosition } from './functions.ts';

const redis = await startRedisServer();
const connection = await openConnection({ url: redis.url, callTimeoutMs: 2_000 });
after(async () => {
  connection.close();
  await redis.close();
});

const TAG = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb'] as const;
const at = (position: number): string => formatPosition(BigInt(position));
const term = (number: number): string => String(number).padStart(24, '0');
const key = (name: string): string => `{v}${name}`;
const FOREVER = String(Date.now() + 100_000_000);

async function call(name: FunctionName, keys: readonly string[], args: readonly Argument[]): Promise<string[]> {
  const reply = await connection.call(name, keys.map(key), args);
  return (Array.isArray(reply) ? reply : [reply]).map(String);
}

const open = (number: number, epoch: string, position: number): Promise<string[]> =>
  call('open', ['meta'], [term(number), epoch, '1', at(position)]);
const get = (coveredFrom: number, { timeline = '1', token = 'me' } = {}): Promise<string[]> =>
  call('get', ['meta', 'e:1', 'l:1'], [timeline, at(coveredFrom), key('t:'), token, 1_000]);
const put = (epoch: string, position: number, value = 'v'): Promise<string[]> =>
  call(
    'put',
    ['meta', 'e:1', 'l:1', ...TAG.map((tag) => `t:${tag}`)],
    [epoch, at(position), TAG.join(''), value, FOREVER, 100_000_000],
  );
const relay = (
  number: number,
  epoch: string,
  from: number,
  to: number,
  tags: readonly string[] = [],
): Promise<string[]> =>
  call(
    'relay',
    ['meta', ...tags.map((tag) => `t:${tag}`)],
    [term(number), epoch, at(from), at(to), tags.length > 0 ? at(to) : '', ...tags.map(() => at(to))],
  );

beforeEach(async () => {
  while (!connection.isReady) await new Promise(setImmediate);
  await redis.flush();
});

test('without an open epoch there is neither answer nor lease', async () => {
  assert.deepEqual(await get(0), ['closed']);
  assert.deepEqual(await put('a', 10), ['epoch']);
});

test('an answer is given until a tag of it is newer', async () => {
  await open(1, 'a', 10);
  assert.deepEqual((await get(0)).slice(0, 2), ['miss', 'a']);
  assert.deepEqual(await put('a', 20), ['stored']);
  assert.deepEqual((await get(0)).slice(0, 4), ['hit', 'v', at(20), at(10)]);
  await relay(1, 'a', 10, 15, [TAG[0]]);
  assert.equal((await get(0))[0], 'hit', 'tried by the host that stored it');
  await relay(1, 'a', 15, 30, ['cccccccccccc']);
  assert.deepEqual((await get(0)).slice(0, 4), ['hit', 'v', at(20), at(30)]);
  await relay(1, 'a', 30, 40, [TAG[1]]);
  assert.equal((await get(0))[0], 'miss');
});

test('an answer is given only to whoever remembers all commits since it was good', async () => {
  await open(1, 'a', 10);
  await put('a', 20);
  assert.equal((await get(20))[0], 'hit');
  assert.equal((await get(21))[0], 'miss');
  await relay(1, 'a', 10, 25);
  assert.equal((await get(25))[0], 'hit');
});

test('an answer of another epoch or timeline is none', async () => {
  await open(1, 'a', 10);
  await put('a', 20);
  assert.deepEqual(await get(0, { timeline: '2' }), ['closed']);
  await open(1, 'b', 12);
  assert.equal((await get(0))[0], 'miss');
  assert.deepEqual(await put('a', 20), ['epoch']);
});

test('a tag that is gone makes the answer a miss, and comes back with what was relayed last', async () => {
  await open(1, 'a', 10);
  await put('a', 20);
  await redis.command('del', key(`t:${TAG[0]}`));
  assert.equal((await get(0))[0], 'miss');
  await relay(1, 'a', 10, 30, [TAG[0]]);
  assert.deepEqual(await put('a', 29), ['newer'], 'the commit at 30 may have touched the tag that was gone');
  assert.deepEqual(await put('a', 30), ['stored']);
});

test('a position that moves on without commits refuses nothing', async () => {
  await open(1, 'a', 10);
  await relay(1, 'a', 10, 50);
  assert.deepEqual(await put('a', 20), ['stored']);
});

test('an answer that was tried only up to before the epoch is refused', async () => {
  await open(1, 'a', 10);
  await put('a', 10);
  await open(1, 'b', 30); // the tags are those of before, and a commit at 25 was never relayed
  assert.deepEqual(await put('b', 20), ['behind']);
});

test('an answer with a tag that is newer is refused', async () => {
  await open(1, 'a', 10);
  await put('a', 20);
  await relay(1, 'a', 10, 30, [TAG[0]]);
  assert.deepEqual(await put('a', 29, 'old'), ['newer']);
});

test('the relay goes on only from where it stands, in its epoch, and with the highest term', async () => {
  await open(2, 'a', 10);
  assert.deepEqual(await relay(2, 'a', 9, 20), ['position']);
  assert.deepEqual(await relay(2, 'b', 10, 20), ['epoch']);
  assert.deepEqual(await relay(1, 'a', 10, 20), ['fenced']);
  assert.deepEqual(await call('open', ['meta'], [term(1), 'x', '1', at(99)]), ['fenced']);
  assert.deepEqual(await call('close', ['meta'], [term(1)]), ['fenced']);
  assert.deepEqual(await call('lead', ['meta'], [term(1)]), ['fenced']);
  assert.deepEqual(await call('lead', ['meta'], [term(3)]), ['ok', 'a', '1', at(10)]);
  assert.deepEqual(await relay(2, 'a', 10, 20), ['fenced'], 'whoever led before');
  assert.deepEqual(await relay(3, 'a', 10, 20), ['ok']);
  assert.deepEqual(await call('close', ['meta'], [term(3)]), ['ok']);
  assert.deepEqual(await call('lead', ['meta'], [term(2)]), ['fenced'], 'a closed epoch leaves the term');
});

test('one asker gets the lease; it ends when the answer is stored, and is given back by its token alone', async () => {
  await open(1, 'a', 10);
  assert.equal((await get(0, { token: 'first' }))[0], 'miss');
  assert.equal((await get(0, { token: 'second' }))[0], 'wait');
  await call('release', ['l:1'], ['second']);
  assert.equal((await get(0, { token: 'second' }))[0], 'wait');
  await put('a', 10);
  assert.equal((await get(0, { token: 'second' }))[0], 'hit');
  assert.equal(await redis.command('exists', key('l:1')), '0');
});

test('what could not be stored is computed by all who ask, not by one after the other', async () => {
  await open(1, 'a', 10);
  await get(0, { token: 'first' });
  await call('release', ['l:1'], ['first']);
  for (const token of ['second', 'third']) assert.equal((await get(0, { token }))[0], 'miss');
  assert.notEqual(await redis.command('pttl', key('l:1')), '-1', 'and not for ever');
});

test('a lease is extended by its token alone', async () => {
  await open(1, 'a', 10);
  await get(0, { token: 'first' });
  await call('extend', ['l:1', 'l:2'], [100_000, 'other', 'other']);
  const leftMs = async (): Promise<number> => Number(await redis.command('pttl', key('l:1')));
  assert.ok((await leftMs()) <= 1_000);
  await call('extend', ['l:1', 'l:2'], [100_000, 'first', 'first']);
  assert.ok((await leftMs()) > 1_000);
  assert.equal(await redis.command('exists', key('l:2')), '0');
});

test('a full Redis still answers and relays, and stores nothing', async () => {
  await open(1, 'a', 10);
  await put('a', 20);
  await redis.command('config', 'set', 'maxmemory', '1');
  try {
    assert.equal((await get(0))[0], 'hit');
    await assert.rejects(put('a', 21), /OOM/);
    assert.deepEqual(await relay(1, 'a', 10, 30, [TAG[0]]), ['ok']);
    assert.equal((await get(0))[0], 'miss');
  } finally {
    await redis.command('config', 'set', 'maxmemory', '0');
  }
});

test('a Redis that starts anew gets its functions with the next call', async () => {
  await open(1, 'a', 10);
  await redis.restart({ empty: true });
  const deadline = Date.now() + 60_000;
  while (!connection.isReady && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(await get(0), ['closed']);
});

test('positions are texts in their own order', () => {
  assert.ok(formatPosition(0x9n) < formatPosition(0x10n));
  assert.ok(formatPosition(0xffff_ffffn) < formatPosition(0x1_0000_0000n));
  assert.equal(parsePosition(formatPosition(0x16_b374_d848n)), 0x16_b374_d848n);
  assert.ok(formatPosition(0xffff_ffff_ffff_ffffn) < formatPosition(2n << 64n), 'a later timeline');
  assert.equal(parsePosition(formatPosition(7n << 64n)), 7n << 64n);
  assert.equal(parsePosition('16/B374D848'), undefined);
});
