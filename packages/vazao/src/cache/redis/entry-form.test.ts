/** What is stored comes back as it was; what somebody else has written is none. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createRandom } from '../../testing/random.ts';
import { type EntryFacts, fromJson, toJson } from './entry-form.ts';
import { seal, unseal } from './envelope.ts';

const FACTS: EntryFacts = {
  name: '{vazao}e:1',
  statements: [
    {
      text: 'select 1',
      durationMs: 0.5,
      rows: 1,
      refusal: undefined,
      terms: [
        {
          table: {
            oid: 7,
            schema: 'public',
            name: 't',
            kind: 'table',
            columns: [],
            definition: undefined,
            invisible: undefined,
            uniqueKeys: [],
            ancestors: [],
          },
          columns: new Set(['a', 'b']),
          predicates: [
            { kind: 'in', column: 'a', type: 'int4', values: new Set(['1', '2']) },
            { kind: 'range', column: 'b', type: 'int4', operator: '>=', value: '3' },
            { kind: 'null', column: 'c' },
            { kind: 'not null', column: 'd' },
          ],
          grain: 'row',
          coarse: undefined,
          indexBy: { column: 'a', type: 'int4', values: ['1', '2'] },
        },
      ],
    },
  ],
  snapshot: { xmin: 5n, xmax: 2n ** 63n, running: new Set([6n, 7n]) },
  snapshotPosition: 2n ** 95n,
  position: 12n,
  usesTime: true,
};

test('facts come back as they were', () => {
  for (const snapshot of [FACTS.snapshot, { replayedTo: 9n }, undefined]) {
    const facts = { ...FACTS, snapshot };
    assert.deepEqual(fromJson(JSON.parse(JSON.stringify(toJson(facts)))), facts);
  }
});

test('facts with anything odd are refused', () => {
  const whole = JSON.stringify(toJson(FACTS));
  for (const [from, to] of [
    ['"select 1"', '7'],
    ['"row"', '"rows"'],
    ['">="', '"=>"'],
    ['"12"', '"-12"'],
    ['"12"', '12'],
    ['true', '1'],
    ['[7,', '["7",'],
    ['"kind":"in"', '"kind":"inside"'],
  ] as const) {
    assert.ok(whole.includes(from), from);
    assert.throws(() => fromJson(JSON.parse(whole.replace(from, to))), TypeError, `${from} → ${to}`);
  }
  for (const json of [null, 7, [], {}]) assert.throws(() => fromJson(json), TypeError);
});

test('bytes come back, small and large, and only with their name and secret', async () => {
  const secret = Buffer.alloc(32, 1);
  for (const size of [0, 500, 20_000, 300_000]) {
    const value = Buffer.from('x1'.repeat(size / 2));
    const sealed = await seal({ json: { a: 1 }, value }, 'name', secret);
    assert.deepEqual(await unseal(sealed, 'name', secret), { json: { a: 1 }, value });
    assert.equal(await unseal(sealed, 'other', secret), undefined);
    assert.equal(await unseal(sealed, 'name', Buffer.alloc(32, 2)), undefined);
  }
});

test('a value that compresses well is stored in a tenth of its bytes, and one that does not in hardly more than its own', async () => {
  // On the event loop, and aside from it.
  for (const size of [20_000, 300_000]) {
    for (const [value, bytesMax] of [
      [Buffer.from('an item of a list, '.repeat(size)).subarray(0, size), size / 10],
      [randomBytes(size), size + 200],
    ] as const) {
      const { length } = await seal({ json: { a: 1 }, value }, 'name', undefined);
      assert.ok(length <= bytesMax, `${length} bytes of ${size}, at most ${bytesMax}`);
    }
  }
});

test('bytes that were changed are none, and without a secret do no harm', async (context) => {
  const random = createRandom(context);
  const secret = Buffer.alloc(32, 1);
  for (let round = 0; round < 300; round++) {
    const value = Buffer.from('value '.repeat(random.integer(2_000)));
    for (const one of [secret, undefined]) {
      const sealed = await seal({ json: { a: 1 }, value }, 'name', one);
      const at = random.integer(sealed.length);
      sealed[at] = (sealed[at] as number) ^ (1 + random.integer(255));
      const parcel = await unseal(random.next() < 0.3 ? sealed.subarray(0, at) : sealed, 'name', one);
      if (one) assert.equal(parcel, undefined);
    }
  }
});

test('without ioredis the error says what to install', async () => {
  const missing = `import { registerHooks } from 'node:module';
    registerHooks({ resolve(name, context, next) { if (name === 'ioredis') throw Object.assign(new Error("Cannot find package 'ioredis'"), { code: 'ERR_MODULE_NOT_FOUND' }); return next(name, context); } });
    const { openConnection } = await import(${JSON.stringify(join(import.meta.dirname, 'connection.ts'))});
    await openConnection({ url: 'redis://h', callTimeoutMs: 1 }).catch(({ code, message }) => process.stdout.write(code + ' ' + message));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', missing]);
  assert.match(stdout, /^ERR_PEER_MISSING .*`npm install ioredis@6\.0\.0`/);
});
