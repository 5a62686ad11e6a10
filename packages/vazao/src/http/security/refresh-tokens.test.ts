import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createTestDatabase, type TestDatabase } from '../../testing/database.ts';
import { createRefreshTokens, type RefreshTokens } from './refresh-tokens.ts';
import { createSecurityTables } from './tables.ts';

describe('refresh tokens', () => {
  let database: TestDatabase;
  let tokens: RefreshTokens;

  before(async () => {
    database = await createTestDatabase();
    tokens = createRefreshTokens({ db: database.pool });
    // As hosts that start together do.
    await Promise.all(Array.from({ length: 4 }, () => createSecurityTables(database.pool)));
  });
  after(async () => {
    tokens.close();
    await database[Symbol.asyncDispose]();
  });

  const refused = { code: 'ERR_SECURITY_REFRESH_TOKEN', statusCode: 401, reused: false };
  const reused = { ...refused, reused: true };

  test('a token gives its successor, and only its hash is stored', async () => {
    const first = await tokens.issue('ana');
    const second = await tokens.rotate(first);
    assert.equal(second.subject, 'ana');
    assert.match(first, /^[\w-]{43}$/);
    assert.notEqual(second.token, first);
    const { rows } = await database.pool.query('select * from vazao.refresh_tokens');
    assert.ok(!JSON.stringify(rows).includes(first));
    assert.ok(!JSON.stringify(rows).includes(Buffer.from(first, 'base64url').toString('hex')));
    assert.equal((await tokens.rotate(second.token)).subject, 'ana');
  });

  test('a token that is presented twice revokes its whole family, and no other', async () => {
    const other = await tokens.issue('bia');
    const first = await tokens.issue('bia');
    const { token: second } = await tokens.rotate(first);
    const { token: third } = await tokens.rotate(second);
    await assert.rejects(tokens.rotate(first), reused);
    await assert.rejects(tokens.rotate(third), refused);
    assert.equal((await tokens.rotate(other)).subject, 'bia');
  });

  test('of many that present a token at the same time one at most goes on, and the family does not survive', async () => {
    const first = await tokens.issue('caio');
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => tokens.rotate(first)));
    const given = results.filter((result) => result.status === 'fulfilled').map(({ value }) => value.token);
    assert.equal(given.length, 1);
    await assert.rejects(tokens.rotate(given[0] as string), refused);
  });

  test('what was never a token is refused', async () => {
    for (const text of ['', 'x', 'A'.repeat(43), "' or true --", '\u0000'])
      await assert.rejects(tokens.rotate(text), refused);
  });

  test('log-out revokes a family, and log-out everywhere all of a subject', async () => {
    const [one, two, three] = await Promise.all([1, 2, 3].map(() => tokens.issue('davi')));
    const elsewhere = await tokens.issue('davi2');
    const { token: later } = await tokens.rotate(one as string);
    await tokens.revoke(one as string);
    await assert.rejects(tokens.rotate(later), refused);
    assert.ok(await tokens.rotate(two as string));
    await tokens.revokeAll('davi');
    await assert.rejects(tokens.rotate(three as string), refused);
    assert.ok(await tokens.rotate(elsewhere));
  });

  test('a token ends when it is not used, and its family ends however often it is', async () => {
    const age = (interval: string, subject: string) =>
      database.pool.query(
        `update vazao.refresh_tokens set expires_at = expires_at - $1::interval, ends_at = ends_at - $1::interval
       where subject = $2`,
        [interval, subject],
      );
    const idle = await tokens.issue('eva');
    await age('6 days 23 hours', 'eva');
    const { token: next } = await tokens.rotate(idle);
    await age('7 days 1 second', 'eva');
    await assert.rejects(tokens.rotate(next), refused);

    let { token } = await tokens.rotate(await tokens.issue('eli'));
    for (let week = 0; week < 4; week++) {
      await age('6 days', 'eli');
      ({ token } = await tokens.rotate(token));
    }
    const { rows } = await database.pool.query(
      "select bool_and(expires_at <= ends_at) as bounded from vazao.refresh_tokens where subject = 'eli'",
    );
    assert.equal(rows[0].bounded, true);
    await age('6 days 1 hour', 'eli');
    await assert.rejects(tokens.rotate(token), refused);
  });

  test('a subject has a bounded number of families, and expired ones are removed in batches', async () => {
    const few = createRefreshTokens({ db: database.pool, familiesMax: 3 });
    const issued: string[] = [];
    for (let n = 0; n < 5; n++) issued.push(await few.issue('fred'));
    few.close();
    for (const token of issued.slice(0, 2)) await assert.rejects(tokens.rotate(token), refused);
    for (const token of issued.slice(2)) assert.ok(await tokens.rotate(token));

    await database.pool.query('truncate vazao.refresh_tokens');
    await database.pool.query(`insert into vazao.refresh_tokens
    select decode(md5(n::text), 'hex'), gen_random_uuid(), 'old', now(), null, now() - interval '1 s', now() - interval '1 s'
    from generate_series(1, 1500) n`);
    assert.equal(await tokens.clean(), 1_000);
    assert.equal(await tokens.clean(), 500);
    assert.equal(await tokens.clean(), 0);
  });

  test('the table can be in no publication of ours: its schema is left out', async () => {
    const { FIND_TABLES_SQL } = await import('../../feed/sql/find-tables.ts');
    const { rows } = await database.pool.query(FIND_TABLES_SQL, ['vazao']);
    assert.deepEqual(rows, []);
  });
});
