import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FeedError } from './errors.ts';
import { decodePgoutput, type PgoutputMessage } from './pgoutput.ts';
import { RelationRegistry } from './relations.ts';
import { type Transaction, TransactionAssembler } from './transaction.ts';

/** Builds a message by hand: a text is bytes as they are, `[n, value]` an integer of n bytes. */
type Part = string | readonly [bytes: 1 | 2 | 4 | 8, value: number | bigint];

function build(...parts: Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'string') return Buffer.from(part);
      const buffer = Buffer.alloc(8);
      buffer.writeBigUInt64BE(BigInt.asUintN(64, BigInt(part[1])));
      return buffer.subarray(8 - part[0]);
    }),
  );
}

const decode = (buffer: Buffer): PgoutputMessage => decodePgoutput(buffer, 0, () => false);
const value = (text: string): Part[] => ['t', [4, Buffer.byteLength(text)], text];

const BEGIN = build('B', [8, 100], [8, 1_000_001], [4, 0xffff_fffe]);
const COMMIT = build('C', [1, 0], [8, 100], [8, 2n ** 63n + 5n], [8, 1_000_001]);
const relation = (oid: number, identity: string, ...columns: [name: string, key: 0 | 1, type?: number][]): Buffer =>
  build(
    ...(['R', [4, oid], 'public\0t\0', identity, [2, columns.length]] as Part[]),
    ...columns.flatMap(([name, key, type = 23]): Part[] => [[1, key], `${name}\0`, [4, type], [4, -1]]),
  );
const insert = (oid: number, ...values: string[]): Buffer =>
  build('I', [4, oid], 'N', [2, values.length], ...values.flatMap(value));

function assemble(buffers: Buffer[], limits = { rowsPerTableMax: 1_000, bytesPerTableMax: 1_000_000 }): Transaction[] {
  const assembler = new TransactionAssembler(new RelationRegistry(), limits);
  return buffers
    .map((buffer) => assembler.apply(decodePgoutput(buffer, 0, assembler.skipsRowsOf), buffer.length))
    .filter((transaction) => transaction !== undefined);
}

test('begin and commit carry unsigned ids and positions, and microseconds since 2000', () => {
  assert.deepEqual(decode(BEGIN), { kind: 'begin', xid32: 0xffff_fffe, committedAtMs: 946_684_801_000.001 });
  assert.deepEqual(decode(COMMIT), { kind: 'commit', endPosition: 2n ** 63n + 5n, committedAtMs: 946_684_801_000.001 });
});

test('a relation carries its key columns, and the empty schema is pg_catalog', () => {
  const message = decode(build('R', [4, 7], '\0pg_x\0', 'i', [2, 1], [1, 1], 'id\0', [4, 20], [4, -1]));
  assert.deepEqual(message, {
    kind: 'relation',
    oid: 7,
    schema: 'pg_catalog',
    name: 'pg_x',
    identity: 'index',
    columns: [{ name: 'id', key: true, typeOid: 20, typeModifier: -1 }],
  });
});

test('a row tells texts, nulls, unchanged and binary values apart', () => {
  const buffer = build('I', [4, 7], 'N', [2, 5], ...value('é'), ...value(''), 'n', 'u', 'b', [4, 2], 'xx');
  assert.deepEqual(decode(buffer), { kind: 'insert', oid: 7, new: ['é', '', null, undefined, undefined] });
});

test('values do not live in the buffer of the socket', () => {
  const buffer = build('I', [4, 7], 'N', [2, 1], ...value('keep'));
  const message = decode(buffer);
  buffer.fill(0);
  assert.deepEqual(message, { kind: 'insert', oid: 7, new: ['keep'] });
});

test('truncate lists all tables, and messages of others are ignored', () => {
  assert.deepEqual(decode(build('T', [4, 2], [1, 1], [4, 7], [4, 8])), { kind: 'truncate', oids: [7, 8] });
  assert.equal(decode(build('M', [1, 0], [8, 9], 'other\0', [4, 3], 'abc')).kind, 'ignored');
  assert.deepEqual(decode(build('M', [1, 1], [8, 9], 'vazao.ddl\0', [4, 3], 'abc')), {
    kind: 'message',
    transactional: true,
    position: 9n,
    prefix: 'vazao.ddl',
    content: 'abc',
  });
});

test('origin and type messages are passed over', () => {
  assert.equal(decode(build('O', [8, 1], 'node\0')).kind, 'ignored');
  assert.equal(decode(build('Y', [4, 1], 'public\0mood\0')).kind, 'ignored');
});

test('what is not understood is an error: unknown tags, short messages, bytes left over', () => {
  const whole = insert(7, 'abc');
  const broken = [
    build('S', [4, 1]),
    build(''),
    build('I', [4, 7], 'X', [2, 0]),
    build('I', [4, 7], 'N', [2, 1], 'z'),
    build('D', [4, 7], 'N', [2, 0]),
    build('R', [4, 7], 'public\0t\0', '?', [2, 0]),
    Buffer.concat([whole, Buffer.from('x')]),
    ...Array.from({ length: whole.length - 1 }, (_, length) => whole.subarray(0, length)),
  ];
  for (const buffer of broken) {
    assert.throws(
      () => decode(buffer),
      (error) => error instanceof FeedError || error instanceof RangeError,
    );
  }
});

test('rows that are not wanted are not decoded', () => {
  assert.deepEqual(
    decodePgoutput(build('U', [4, 7], 'garbage'), 0, (oid) => oid === 7),
    { kind: 'skipped', oid: 7 },
  );
});

test('a key-only old row does not know its other columns', () => {
  const [transaction] = assemble([
    BEGIN,
    relation(7, 'd', ['id', 1], ['v', 0]),
    build('D', [4, 7], 'K', [2, 2], ...value('1'), 'n'),
    build('U', [4, 7], 'K', [2, 2], ...value('1'), 'n', 'N', [2, 2], ...value('2'), ...value('b')),
    COMMIT,
  ]);
  assert.deepEqual(
    transaction?.changes.map((change) => [change.kind, 'old' in change ? change.old : undefined]),
    [
      ['delete', ['1', undefined]],
      ['update', ['1', undefined]],
    ],
  );
});

test('an update that leaves the key alone still tells the old key', () => {
  const [transaction] = assemble([
    BEGIN,
    relation(7, 'd', ['id', 1], ['v', 0]),
    build('U', [4, 7], 'N', [2, 2], ...value('1'), 'u'),
    COMMIT,
  ]);
  const change = transaction?.changes[0];
  assert.deepEqual(change?.kind === 'update' && [change.old, change.new], [
    ['1', undefined],
    ['1', undefined],
  ]);
});

test('an unchanged value is filled in from the full old row', () => {
  const [transaction] = assemble([
    BEGIN,
    relation(7, 'f', ['id', 1], ['v', 1]),
    build('U', [4, 7], 'O', [2, 2], ...value('1'), ...value('long'), 'N', [2, 2], ...value('2'), 'u'),
    COMMIT,
  ]);
  const change = transaction?.changes[0];
  assert.deepEqual(change?.kind === 'update' && [change.old, change.new], [
    ['1', 'long'],
    ['2', 'long'],
  ]);
});

test('a table described anew is the same object; described otherwise, everything of it has changed', () => {
  const first = relation(7, 'd', ['id', 1]);
  const transactions = assemble([
    ...[BEGIN, first, insert(7, '1'), COMMIT],
    ...[BEGIN, first, insert(7, '2'), COMMIT],
    ...[BEGIN, relation(7, 'd', ['id', 1, 20]), insert(7, '3'), COMMIT],
  ]);
  const [one, two, three] = transactions.map((transaction) => transaction.changes);
  assert.equal(one?.[0]?.relation, two?.[0]?.relation);
  assert.deepEqual(
    three?.map((change) => change.kind),
    ['all'],
  );
  assert.notEqual(three?.[0]?.relation, one?.[0]?.relation);
});

test('a new stream keeps the objects of tables that are as they were, and calls nothing changed', () => {
  const registry = new RelationRegistry();
  const message = decode(relation(7, 'd', ['id', 1]));
  assert.ok(message.kind === 'relation');
  const before = registry.describe(message);
  registry.reset();
  assert.equal(registry.find(7), undefined);
  assert.deepEqual(
    [registry.describe(message).known === before.known, registry.describe(message).changed],
    [true, false],
  );
});

test('more rows than the limit, or more bytes, become one change of everything', () => {
  const rows = (count: number): Buffer[] => Array.from({ length: count }, (_, index) => insert(7, String(index)));
  const other = [relation(8, 'd', ['id', 1]), insert(8, 'x')];
  const kinds = (count: number, bytesPerTableMax = 1_000_000): unknown[] =>
    assemble([BEGIN, relation(7, 'd', ['id', 1]), ...rows(count), ...other, COMMIT], {
      rowsPerTableMax: 3,
      bytesPerTableMax,
    })[0]?.changes.map((change) => `${change.kind} ${change.relation.oid}`) ?? [];
  assert.deepEqual(kinds(3), ['insert 7', 'insert 7', 'insert 7', 'insert 8']);
  assert.deepEqual(kinds(4), ['all 7', 'insert 8']);
  assert.deepEqual(kinds(100), ['all 7', 'insert 8']);
  assert.deepEqual(kinds(2, 20), ['all 7', 'insert 8']);
});

test('a sequence of messages that cannot be is an error', () => {
  const table = relation(7, 'd', ['id', 1]);
  for (const buffers of [
    [BEGIN, BEGIN],
    [COMMIT],
    [insert(7, '1')],
    [BEGIN, insert(7, '1')],
    [BEGIN, table, insert(7, '1', '2')],
    [BEGIN, build('T', [4, 1], [1, 0], [4, 7])],
  ]) {
    assert.throws(() => assemble(buffers), { code: 'ERR_FEED_PROTOCOL' });
  }
});
