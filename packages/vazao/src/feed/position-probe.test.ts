import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase, type TestDatabase } from '../testing/database.ts';
import { systemClock } from './options.ts';
import { INSERTED_POSITION_SQL, parsePosition } from './position.ts';
import { PositionProbe, type PositionProbeOptions } from './position-probe.ts';
import { until } from './recorder.ts';

const LEASE_MS = 500;
const TIMELINE = 1n << 64n;

async function createProbe(database: TestDatabase, more: Partial<PositionProbeOptions> = {}): Promise<PositionProbe> {
  const { rows } = await database.pool.query('select system_identifier::text as id from pg_control_system()');
  return new PositionProbe({
    connection: database.url,
    systemId: rows[0].id,
    clock: systemClock,
    intervalMs: 20,
    leaseMs: LEASE_MS,
    connectTimeoutMs: 5_000,
    timeoutMs: 5_000,
    ...more,
  });
}

const told = (leftMs?: number): { freshUntilMs: number; leftMs: number | undefined } => ({ freshUntilMs: 0, leftMs });

test('fresh for a lease from the question on, when what is told has passed its answer', async () => {
  await using database = await createTestDatabase();
  const probe = await createProbe(database);
  const position = async (): Promise<bigint> => {
    const { rows } = await database.pool.query(`select ${INSERTED_POSITION_SQL} as position`);
    return parsePosition(rows[0].position) + 1n;
  };
  const before = (await position()) - 1n;
  await database.pool.query('create table t (n int)');
  const startedAtMs = performance.now();
  assert.equal(
    probe.findFreshUntilMs(told(LEASE_MS), (await position()) + 1n),
    Number.NEGATIVE_INFINITY,
    'not asked yet',
  );
  probe.start((error) => assert.fail(String(error)));
  try {
    await until(async () => probe.findFreshUntilMs(told(LEASE_MS), await position()) > startedAtMs, 'an answer');
    const asked = await position();
    const until1 = probe.findFreshUntilMs(told(LEASE_MS), asked);
    assert.ok(until1 >= startedAtMs + LEASE_MS && until1 <= performance.now() + LEASE_MS);
    assert.ok(
      probe.findFreshUntilMs(told(LEASE_MS / 2), asked) <= performance.now() + LEASE_MS / 2,
      'what was left there',
    );
    assert.ok(
      probe.findFreshUntilMs(told(LEASE_MS * 9), asked) <= performance.now() + LEASE_MS,
      'no more than a lease',
    );
    for (const [leftMs, at, why] of [
      [undefined, asked, 'a hello says nothing of freshness'],
      [Number.NEGATIVE_INFINITY, asked, 'taken back'],
      [LEASE_MS, before, 'not as far as the answer'],
      [LEASE_MS, asked + TIMELINE, 'another timeline'],
    ] as const) {
      assert.equal(probe.findFreshUntilMs(told(leftMs), at), Number.NEGATIVE_INFINITY, why);
    }
  } finally {
    await probe.close();
  }
});

test('another server proves nothing', async () => {
  await using database = await createTestDatabase();
  const probe = await createProbe(database, { systemId: '1' });
  const problems: string[] = [];
  probe.start((error) => problems.push(String(error)));
  await until(() => problems.length > 1, 'a problem');
  assert.match(problems[0] ?? '', /and the stream tells of server 1\./);
  assert.equal(probe.findFreshUntilMs(told(LEASE_MS), 1n << 95n), Number.NEGATIVE_INFINITY);
  await probe.close();
});
