import assert from 'node:assert/strict';
import { test } from 'node:test';
import Fastify from 'fastify';
import type { ApplicationContext } from 'vazao';
import { createTestDatabase } from '../../../packages/vazao/src/testing/database.ts';
import conectades from './app.ts';
import { createIdentify } from './identidade.ts';
import { migrate, SECRET } from './testing/test-app.ts';
import tortura from './torture.ts';

const database = await createTestDatabase();
await migrate(database.pool);
const client = await database.client();
await tortura.prepare(client);
const context: ApplicationContext = { db: database.pool, environment: 'production', secret: SECRET };
const { user } = createIdentify(context);
const app = Fastify();
const users = new WeakMap<object, unknown>();
app.decorateRequest('user', {
  getter(this: object) {
    return users.get(this) as never;
  },
});
app.addHook('onRequest', async (request) => {
  const identity = await user({ authorization: request.headers.authorization });
  if (identity) users.set(request, identity);
});
await conectades.register(app, context);
await app.ready();
const headersOf = async (name: string | undefined): Promise<Readonly<Record<string, string>>> =>
  name === undefined ? {} : ((await tortura.users[name]?.headers(SECRET)) ?? {});

/** Asks every reader; each register must have this version wherever it is shown, and be shown where the profile says so. */
async function assertShown(expected: Readonly<Record<string, number>>): Promise<void> {
  for (const reader of tortura.readers) {
    const response = await app.inject({ url: reader.url, headers: await headersOf(reader.user) });
    assert.equal(response.statusCode, 200, `${reader.url} ${response.body}`);
    const { versions, owner } = reader.read(response.body);
    for (const [register, version] of versions)
      assert.equal(version, expected[register], `${register} in ${reader.url}`);
    for (const register of reader.shows) {
      assert.ok(
        versions.some(([shown]) => shown === register),
        `${reader.url} shows ${register}`,
      );
    }
    if (owner !== undefined) assert.equal(owner, reader.user);
  }
}

test('every writer gives its registers their next version, wherever an answer shows them', async (t) => {
  const versions: Record<string, number> = Object.fromEntries(tortura.registers.map((name) => [name, 0]));
  await assertShown(versions);
  for (const writer of tortura.writers) {
    if (writer.kind === 'psql') continue; // what it copies goes over psql's own connection; `vazao torture` runs it
    await t.test(`${writer.name}: ${writer.registers}`, async () => {
      for (const register of writer.registers) versions[register] = (versions[register] ?? 0) + 1;
      if (writer.kind === 'request') {
        const { method, url, body } = writer.request(versions);
        const response = await app.inject({
          method,
          url,
          headers: await headersOf(writer.user),
          payload: body as object,
        });
        assert.ok(response.statusCode < 300, response.body);
      } else {
        await client.query('begin');
        for (const { text, values = [] } of writer.statements(versions)) await client.query(text, [...values]);
        await client.query('commit');
      }
      await assertShown(versions);
    });
  }
});

test('a private answer names its owner, and an answer without rows shows nothing', async () => {
  const mine = tortura.readers.find(({ url, user: name }) => url === '/api/doacoes/minhas/' && name === 'doador1');
  const response = await app.inject({ url: '/api/doacoes/minhas/', headers: await headersOf('doador2') });
  assert.equal(mine?.read(response.body).owner, 'doador2');
  assert.deepEqual(mine.read('{"total":0,"total_doado":"0.00","resultados":[]}').versions, []);
});

test('the changes of the schema can be undone', async () => {
  for (const [apply, undo] of tortura.schemaChanges ?? []) {
    await client.query(apply);
    await client.query(undo);
    await client.query(apply);
    await client.query(undo);
  }
});

// The last test, and not a hook: the server of the tests is stopped by a hook that was registered before.
test('everything is closed', async () => {
  await app.close();
  await database[Symbol.asyncDispose]();
});
