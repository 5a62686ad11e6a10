/**
 * Whatever is asked of `vazao start`, as far as the OpenAPI document tells how to ask it: well-formed requests, requests with
 * anything wrong in them, as each role. No answer is a 5xx, and each is what the document says.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { FormatDefinition } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { writeRouteTypes } from 'vazao/lab';
import { applyMigrations } from '../../../packages/vazao/src/testing/apply-migrations.ts';
import { type CommandRun, runCommand } from '../../../packages/vazao/src/testing/cli.ts';
import { createTestDatabase, type TestDatabase } from '../../../packages/vazao/src/testing/database.ts';
import conectades from './app.ts';
import { createAcessos } from './identidade.ts';
import { seed } from './seed.ts';
import { senhas } from './senhas.ts';
import { arbitraryOf, hostileText, mutated, type Schema } from './testing/openapi-requests.ts';
import { SECRET, SIZES, USUARIOS } from './testing/test-app.ts';

/** `VAZAO_SEED=…` repeats a run; `OPENAPI_RUNS=…` makes it longer. */
const SEED = Number(process.env.VAZAO_SEED ?? Math.floor(Math.random() * 2 ** 31));
const RUNS = Number(process.env.OPENAPI_RUNS ?? 60);
/** Of all users. */
const PASSWORD = 'a password that is in no repository';
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

interface Parameter {
  readonly in: 'path' | 'query' | 'header';
  readonly name: string;
  readonly required?: boolean;
  readonly schema: Schema;
}

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly body: Schema | undefined;
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
}

interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedOperation>>>>;
}

interface DocumentedOperation extends Pick<Operation, 'responses'> {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

interface Asked {
  readonly parameters: readonly unknown[];
  readonly body: unknown;
  readonly role: string;
  readonly contentType: string;
  readonly raw: string | undefined;
}

let database: TestDatabase;
let folder: string;
let run: CommandRun;
let origin: string;
let document: OpenApiDocument;
let operations: readonly Operation[];
const tokens: Record<string, string | undefined> = { nobody: undefined, forged: 'x.y.z' };
const dateTime: FormatDefinition<string> = {
  type: 'string',
  validate: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
};
const ajv = new Ajv2020({ strict: false, formats: { 'date-time': dateTime } });

describe('the OpenAPI document', () => {
  before(async () => {
    database = await createTestDatabase();
    const client = await database.client();
    await applyMigrations(client, conectades.migrations);
    await seed(client, () => {}, SIZES);
    // It refuses to start while users have the passwords of the repository.
    await database.pool.query('update usuarios set senha_hash = $1', [await senhas.hash(PASSWORD)]);
    folder = await mkdtemp(join(tmpdir(), 'vazao-openapi-'));
    run = runCommand(['start', join(import.meta.dirname, 'app.ts')], environment(database.url), folder);
    origin = await run.url;
    const acessos = createAcessos({ secret: SECRET });
    for (const [name, usuario] of Object.entries(USUARIOS)) tokens[name] = await acessos.sign(usuario);
    document = (await (await fetch(`${origin}/api/docs/json`)).json()) as OpenApiDocument;
    operations = readDocument(document);
  });
  after(async () => {
    run?.child.kill('SIGTERM');
    await run?.ended;
    await database?.[Symbol.asyncDispose]();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  it('is what the scenario of the lab was typed by', async () => {
    const written = await readFile(new URL('./rotas.ts', import.meta.url), 'utf8');
    const hint =
      'Start `npx vazao dev conectades`, and write it again: npx vazao lab types http://127.0.0.1:8080/api/docs/json --out apps/conectades/src/rotas.ts';
    assert.equal(written, writeRouteTypes(document), hint);
  });

  it(`holds for requests of any shape, by anyone: no 5xx, and answers as documented (VAZAO_SEED=${SEED})`, async () => {
    assert.ok(operations.length >= 15);
    const statuses = new Set<string>();
    for (const operation of operations) {
      const numRuns = Math.max(10, Math.ceil(operation.path.startsWith('/api/token/') ? RUNS / 3 : RUNS));
      await fc.assert(
        fc.asyncProperty(asked(operation), async (request) => {
          statuses.add(`${operation.method} ${operation.path} ${await check(operation, request)}`);
        }),
        { seed: SEED, numRuns, interruptAfterTimeLimit: 60_000 },
      );
    }
    // The requests reach the handlers: else nothing is shown by it. Some need luck (a CPF, an e-mail nobody has): more are drawn for them.
    for (const operation of operations) {
      const { method, path } = operation;
      if (path === '/api/token/refresh/') continue; // nobody guesses a token
      const isReached = () => [...statuses].some((status) => status.startsWith(`${method} ${path} 2`));
      for (const request of fc.sample(wellFormed(operation), { seed: SEED, numRuns: 1000 })) {
        if (isReached()) break;
        statuses.add(`${method} ${path} ${await check(operation, request)}`);
      }
      assert.ok(isReached(), `${method} ${path} was never answered with a success`);
    }
  });
});

/** As in production, but that one address may try to log in as often as it likes. */
function environment(databaseUrl: string): Record<string, string> {
  return {
    PORT: '0',
    DATABASE_URL: databaseUrl,
    VAZAO_SECRET: SECRET,
    VAZAO_LIMIT_LOGIN: 'off',
    LOG_LEVEL: 'error',
  };
}

/** Sends a request and checks its answer; returns the status. */
async function check({ method, path, parameters, responses }: Operation, request: Asked): Promise<number> {
  const query: string[] = [];
  const headers: Record<string, string> = {};
  let url = path;
  for (const [index, { in: place, name }] of parameters.entries()) {
    const value = request.parameters[index];
    if (value === undefined) continue;
    const texts = [value].flat().map((one) => (typeof one === 'string' ? one : String(JSON.stringify(one))));
    if (place === 'path') url = url.replace(`{${name}}`, encode(texts.join(',')) || '%20');
    else if (place === 'query') for (const text of texts) query.push(`${name}=${encode(text)}`);
    else headers[name] = texts.join(',').replaceAll(/[^\x20-\x7e]/g, '?');
  }
  const token = tokens[request.role];
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  const hasBody = method !== 'get' && (request.raw !== undefined || request.body !== undefined);
  const body = hasBody ? (request.raw ?? JSON.stringify(request.body)) : undefined;
  if (body !== undefined) headers['content-type'] = request.contentType;
  const response = await fetch(origin + url + (query.length > 0 ? `?${query.join('&')}` : ''), {
    method: method.toUpperCase(),
    headers,
    ...(body !== undefined && { body }),
  });
  const text = await response.text();
  const shown = `${method} ${url.slice(0, 300)} ${response.status} ${text.slice(0, 500)}`;
  assert.ok(response.status < 500, shown);
  assert.equal(response.headers.get('x-content-type-options'), 'nosniff', shown);
  // A path that leads to no route is none of the document's.
  if (response.status === 414 || /"code":"FST_ERR_BAD_URL"/.test(text)) return response.status;
  const documented = responses[response.status] ?? responses[`${String(response.status)[0]}XX`];
  assert.ok(documented, `${shown}: the document knows no such status`);
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';');
  assert.ok(type === (response.status < 400 ? 'application/json' : 'application/problem+json'), `${shown}: ${type}`);
  // The generator of the document knows one media type for all answers of a route.
  const [media] = Object.values(documented.content ?? {});
  assert.ok(media, shown);
  const isValid = ajv.validate(media.schema, JSON.parse(text));
  assert.ok(isValid, `${shown}: ${ajv.errorsText()}`);
  return response.status;
}

function bodyOf({ path, body }: Operation): fc.Arbitrary<unknown> {
  const any = body ? arbitraryOf(body) : fc.constant(undefined);
  const known = { username: 'admin', password: PASSWORD };
  return path === '/api/token/' ? fc.oneof(any, fc.constant(known)) : any;
}

function wellFormed(operation: Operation): fc.Arbitrary<Asked> {
  return fc.record({
    parameters: fc.tuple(
      ...operation.parameters.map(({ schema, required, in: place }) => parameterOf(schema, required, place)),
    ),
    body: bodyOf(operation),
    role: fc.constantFrom(...Object.keys(USUARIOS), 'admin', 'admin'),
    contentType: fc.constant('application/json'),
    raw: fc.constant(undefined),
  });
}

function asked(operation: Operation): fc.Arbitrary<Asked> {
  const wrong: fc.Arbitrary<Asked> = fc.record({
    parameters: fc.tuple(
      ...operation.parameters.map(({ schema }) => fc.oneof(arbitraryOf(schema), mutated(arbitraryOf(schema)))),
    ),
    body: mutated(bodyOf(operation)),
    role: fc.constantFrom(...Object.keys(USUARIOS), 'nobody', 'forged'),
    contentType: fc.oneof(
      { weight: 8, arbitrary: fc.constant('application/json') },
      fc.constantFrom('application/json; charset=utf-16', 'text/plain', 'application/x-www-form-urlencoded', 'x', ' '),
    ),
    raw: fc.option(
      fc.oneof(
        hostileText,
        fc.constantFrom('', '{', '[[[[', '{"__proto__":{"a":1}}', '{"a":1,"a":2}', '1e999', '"\\ud800"'),
      ),
      { nil: undefined, freq: 5 },
    ),
  });
  return fc.oneof(wellFormed(operation), wrong);
}

function parameterOf(schema: Schema, required: boolean | undefined, place: Parameter['in']): fc.Arbitrary<unknown> {
  // Rows that are there: else nearly every request by an id would end with 404.
  const value = schema.type === 'integer' && place === 'path' ? fc.integer({ min: 1, max: 12 }) : arbitraryOf(schema);
  return required ? value : fc.option(value, { nil: undefined });
}

function readDocument(document: OpenApiDocument): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([method]) => METHODS.includes(method))
      .map(([method, operation]) => {
        const { parameters = [], requestBody, responses } = operation;
        return { method, path, parameters, responses, body: requestBody?.content['application/json']?.schema };
      }),
  );
}

/** Percent-encodes any text, also one that is no Unicode: as the bytes that a browser would never send. */
function encode(text: string): string {
  return [...text].map((char) => (char.isWellFormed() ? encodeURIComponent(char) : '%ED%A0%80')).join('');
}
