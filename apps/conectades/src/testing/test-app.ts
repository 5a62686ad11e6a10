import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import Fastify, { type FastifyInstance, type InjectOptions, type LightMyRequestResponse } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { ApplicationContext, Identity } from 'vazao';
import { limitsPlugin } from 'vazao/http';
import { createSecurityTables } from 'vazao/security';
import { createTestDatabase, type TestDatabase } from '../../../../packages/vazao/src/testing/database.ts';
import conectades from '../app.ts';
import { ERRORS, type ErrorCode } from '../errors.ts';
import { createAcessos, createIdentify, type Usuario } from '../identidade.ts';
import { type SeedSizes, seed } from '../seed.ts';

export const SECRET = 'a secret of the tests, long enough for HS256';

export const SIZES: SeedSizes = { organizadoras: 5, campanhas: 60, pessoas: 80, doacoes: 900 };

/** The users of the seed, as their tokens tell them. */
export const USUARIOS: Readonly<Record<'admin' | 'organizadora1' | 'organizadora2' | 'doador1' | 'doador2', Usuario>> =
  {
    admin: { id: 1, papel: 'admin', pessoaId: 1, organizadoraId: null },
    organizadora1: { id: 2, papel: 'organizadora', pessoaId: 2, organizadoraId: 1 },
    organizadora2: { id: 3, papel: 'organizadora', pessoaId: 3, organizadoraId: 2 },
    doador1: { id: 5, papel: 'doador', pessoaId: 5, organizadoraId: null },
    doador2: { id: 6, papel: 'doador', pessoaId: 6, organizadoraId: null },
  };

export interface Pedido extends InjectOptions {
  readonly como?: keyof typeof USUARIOS | undefined;
}

export interface TestApp extends AsyncDisposable {
  readonly app: FastifyInstance;
  readonly database: TestDatabase;
  readonly context: ApplicationContext;
  /** Sends a request and checks the answer against the schema of its route; an error against the table of errors. */
  pedir(pedido: Pedido): Promise<LightMyRequestResponse>;
  /** As {@link pedir}, and expects this error. */
  esperarErro(code: ErrorCode, pedido: Pedido): Promise<LightMyRequestResponse>;
}

export async function createTestApp(onLine?: (line: string) => void): Promise<TestApp> {
  const database = await createTestDatabase();
  await migrate(database.pool);
  const client = await database.client();
  await client.query('begin');
  await seed(client, () => {}, SIZES);
  await client.query('commit');

  const context: ApplicationContext = {
    // A plain pool: what the platform's own adds, caching and positions, is tested there.
    db: database.pool as unknown as ApplicationContext['db'],
    environment: 'development',
    secret: SECRET,
  };
  const logger = onLine ? { level: 'info', stream: { write: onLine } } : false;
  const app = Fastify({ forceCloseConnections: true, logger });
  const schemas = rememberSchemas(app);
  identify(app, context);
  await app.register(limitsPlugin, { admission: false, userOf: () => undefined });
  await conectades.register(app, context);
  await app.ready();

  const acessos = createAcessos(context);
  const pedir = async ({ como, ...options }: Pedido): Promise<LightMyRequestResponse> => {
    const headers = como ? { authorization: `Bearer ${await acessos.sign(USUARIOS[como])}` } : {};
    const response = await app.inject({ ...options, headers: { ...headers, ...options.headers } });
    checkResponse(response, schemas);
    return response;
  };
  return {
    app,
    database,
    context,
    pedir,
    async esperarErro(code, pedido) {
      const response = await pedir(pedido);
      assert.equal(response.json().code, code, response.body);
      assert.equal(response.statusCode, ERRORS[code].status);
      return response;
    },
    async [Symbol.asyncDispose]() {
      await app.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

/** Runs the part of each migration before its `-- Down Migration`, and makes the platform's own tables, as the runtime does. */
export async function migrate(pool: TestDatabase['pool']): Promise<void> {
  for (const name of (await readdir(conectades.migrations)).filter((file) => file.endsWith('.sql')).sort()) {
    const [up = ''] = (await readFile(new URL(name, conectades.migrations), 'utf8')).split('-- Down Migration');
    await pool.query(up);
  }
  await createSecurityTables(pool);
}

/** Stands in for the platform's plugin, so that these tests are about the application alone. */
function identify(app: FastifyInstance, context: ApplicationContext): void {
  const { user } = createIdentify(context);
  const users = new WeakMap<object, Identity>();
  app.decorateRequest('user', {
    getter() {
      return users.get(this);
    },
  });
  app.addHook('onRequest', async (request) => {
    const identity = await user({ authorization: request.headers.authorization });
    if (identity) users.set(request, identity);
  });
}

type ResponseSchemas = Readonly<Record<string, TSchema>>;

/** Remembers, for each request, the schemas that its route declares for its answers. */
function rememberSchemas(app: FastifyInstance): WeakMap<object, ResponseSchemas> {
  const schemas = new WeakMap<object, ResponseSchemas>();
  app.addHook('onRequest', async ({ raw, routeOptions }) => {
    schemas.set(raw, (routeOptions.schema?.response ?? {}) as ResponseSchemas);
  });
  return schemas;
}

function checkResponse(response: LightMyRequestResponse, schemas: WeakMap<object, ResponseSchemas>): void {
  const status = String(response.statusCode);
  if (response.statusCode >= 400) {
    assert.match(String(response.headers['content-type']), /^application\/problem\+json/);
    const problem = response.json();
    assert.equal(ERRORS[problem.code as ErrorCode]?.status, response.statusCode, response.body);
    assert.equal(problem.type, `/api/erros/${problem.code}/`);
    assert.doesNotMatch(response.body, /node_modules|\.ts:\d|select |insert |"stack"|pg_/i);
  }
  const byStatus = schemas.get(response.raw.req);
  const schema = byStatus?.[status] ?? byStatus?.[`${status[0]}xx`];
  if (!schema) return;
  const validator = Compile(schema);
  const body: unknown = response.json();
  assert.ok(validator.Check(body), `${response.body} ${JSON.stringify(validator.Errors(body))}`);
}
