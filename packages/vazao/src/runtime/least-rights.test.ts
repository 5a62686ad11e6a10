/** Servers run with the rights that docs/configuration.md asks for, and with no others: what stands there is what is granted here. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { complaintsOf as allComplaintsOf, type CommandRun, runCommand, writeApplication } from '../testing/cli.ts';
import { createTestDatabase } from '../testing/database.ts';
import { startRedisServer } from '../testing/redis.ts';
import { type Answer, ask, until } from '../testing/running-host.ts';

const PASSWORD = randomBytes(12).toString('hex');
const base = mkdtempSync(join(tmpdir(), 'vazao-rights-'));
after(() => rmSync(base, { recursive: true, force: true }));
const guide = readFileSync(join(import.meta.dirname, '../../../../docs/configuration.md'), 'utf8');

/** The words that a line of the guide grants a user of Redis. */
function grantsOf(user: string): string {
  const line = new RegExp(`^ACL SETUSER ${user} (on >… .*)$`, 'm').exec(guide)?.[1];
  assert.ok(line, `docs/configuration.md says what ${user} may do`);
  return `user ${user} ${line.replace('…', PASSWORD)}`;
}

/** What a right can have to do with: a machine that is busy is slow, too. */
function complaintsOf(run: CommandRun): string {
  return allComplaintsOf(run).replaceAll(/^vazao: Redis .*: Command timed out\n/gm, '');
}

async function withAdmin(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  await work(client);
  await client.end();
}

test('two servers and one on the stream, with sessions and limits, run with the documented rights alone', {
  timeout: 400_000,
}, async () => {
  await using tier = await startRedisServer({ settings: [grantsOf('vazao')], policy: 'allkeys-lru' });
  await using state = await startRedisServer({ settings: [grantsOf('vazao-state')] });
  await using server = await createTestDatabase();
  const role = `app_${randomBytes(6).toString('hex')}`;
  const named = (statement: string): string => statement.replaceAll(/\bapp\b/g, role).replace('…', PASSWORD);
  const granted = [...guide.matchAll(/^create (?:role|database) app\b[^;]*;/gm)].map(([statement]) => named(statement));
  assert.equal(granted.length, 2);
  await withAdmin(server.url, async (client) => {
    for (const statement of granted) await client.query(statement);
  });
  const database = new URL(server.url);
  [database.pathname, database.username, database.password] = [`/${role}`, role, PASSWORD];
  const asAdmin = new URL(server.url);
  asAdmin.pathname = database.pathname;
  const runs: CommandRun[] = [];
  try {
    const file = writeApplication(
      join(base, 'little'),
      'security: { sessions: {} },',
      'create table a (n int); alter table a replica identity full;',
      `app.post('/login', { config: { class: 'login' } }, async (request) => { await request.session.logIn({ id: 'ana' }); return {}; });
    app.get('/me', { config: { cache: true } }, async (request) => ({ id: request.user?.id, ...(await db.query('select count(*)::int as n from a')).rows[0] }));
    app.post('/logout', async (request) => { await request.session.logOut(); return {}; });`,
    );
    const addressOf = (user: string, port: number): string => `redis://${user}:${PASSWORD}@127.0.0.1:${port}`;
    const env = {
      PORT: '0',
      WORKERS: '1',
      VAZAO_DATA: join(base, 'data'),
      VAZAO_SECRET: randomBytes(20).toString('hex'),
      LOG_LEVEL: 'warn',
      DATABASE_URL: database.href,
      REDIS_URL: addressOf('vazao', tier.port),
      VAZAO_STATE_REDIS_URL: addressOf('vazao-state', state.port),
      VAZAO_LIMIT_ADDRESS: '100000/1h',
    };
    const start = (more: Record<string, string> = {}): Promise<string> => {
      runs.push(runCommand(['start', file], { ...env, ...more }, base));
      return (runs.at(-1) as CommandRun).url;
    };
    const stop = async (): Promise<void> => {
      const run = runs.pop() as CommandRun;
      run.child.kill('SIGTERM');
      assert.deepEqual([await run.ended, complaintsOf(run)], [0, '']);
    };
    // As the guide says: the role first, whose tables they are, and once a superuser, whose event triggers they are.
    await start();
    assert.match(runs[0]?.output.stdout ?? '', /answers are not shared by way of REDIS_URL/);
    await stop();
    await start({ DATABASE_URL: asAdmin.href });
    await stop();
    const urls = [await start(), await start(), await start({ VAZAO_FEED: 'stream' })];
    const [one, other, streamed] = urls as [string, string, string];
    assert.doesNotMatch(runs[0]?.output.stdout ?? '', /not shared/);
    const sources = await Promise.all(
      urls.map(async (url) => JSON.parse((await ask(`${url}/health`)).body).feed.source),
    );
    assert.deepEqual(sources, ['wal', 'wal', 'stream']);

    const assertNoDenial = async (): Promise<void> => {
      for (const redis of [tier, state]) assert.equal((await redis.command('acl', 'log')).trim(), '');
    };
    await until(async () => {
      await assertNoDenial();
      await ask(`${one}/count`, { method: 'POST' });
      await ask(`${one}/count`);
      await delay(50); // it is stored after the answer
      return /tier=redis/.test(String((await ask(`${other}/count`)).headers['cache-status']));
    }, 'an answer comes from the second tier');
    const login = await ask(`${one}/login`, { method: 'POST' });
    assert.equal(login.status, 200, login.body);
    const cookie = String(login.headers['set-cookie']).split(';')[0] as string;
    const me = (url: string): Promise<Answer> => ask(`${url}/me`, { headers: { cookie } });
    for (const url of urls) assert.equal(JSON.parse((await me(url)).body).id, 'ana');
    assert.equal((await ask(`${one}/logout`, { method: 'POST', headers: { cookie } })).status, 200);
    assert.equal(JSON.parse((await me(one)).body).id, undefined);
    const before = JSON.parse((await ask(`${streamed}/count`)).body).n;
    await withAdmin(database.href, async (client) => void (await client.query('insert into a values (1)')));
    await until(async () => JSON.parse((await ask(`${streamed}/count`)).body).n === before + 1, 'the stream tells it');

    await assertNoDenial();
    const doctor = runCommand(['doctor', file], env, base);
    assert.equal(await doctor.ended, 0, doctor.output.stdout + doctor.output.stderr);
  } finally {
    for (const { child } of runs) child.kill('SIGTERM');
    for (const run of runs) assert.deepEqual([await run.ended, complaintsOf(run)], [0, '']);
    await withAdmin(server.url, async (client) => {
      await client.query(`drop database if exists ${role} with (force)`);
      await client.query(`drop role if exists ${role}`);
    });
  }
});
