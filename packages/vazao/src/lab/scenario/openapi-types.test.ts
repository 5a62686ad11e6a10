/** The types are judged by the compiler: what is right compiles, what is wrong does not, each with its own line. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { writeRouteTypes } from './openapi-types.ts';
import { routes } from './routes.ts';

const API = {
  openapi: '3.1.0',
  info: { title: 'Shop */ x', version: '1' },
  components: {
    schemas: {
      'article-1': {
        type: 'object',
        required: ['id', 'kind'],
        properties: {
          id: { type: 'integer' },
          kind: { enum: ['a', 'b'] },
          note: { type: ['string', 'null'] },
          parent: { $ref: '#/components/schemas/article-1' },
        },
      },
    },
    parameters: { page: { name: 'page', in: 'query', schema: { type: 'integer' } } },
  },
  paths: {
    '/articles/{id}/': {
      parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'integer' } }],
      get: {
        parameters: [
          { $ref: '#/components/parameters/page' },
          { name: 'tags', in: 'query', schema: { type: 'array', items: { type: 'string' } } },
        ],
        responses: { 200: { content: { 'application/json': { schema: { $ref: '#/components/schemas/article-1' } } } } },
      },
    },
    '/orders/': {
      post: {
        requestBody: {
          required: true,
          content: {
            'application/json': {
              schema: {
                type: 'object',
                required: ['price'],
                properties: { price: { type: 'number' }, gift: { type: 'boolean', nullable: true } },
              },
            },
          },
        },
        responses: { 201: {} },
      },
    },
    '/': { get: { responses: { 200: { content: { 'text/html': {} } } } } },
  },
};

test('the compiler takes what the document allows, and nothing else', { timeout: 480_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-types-'));
  try {
    writeFileSync(join(folder, 'routes.ts'), writeRouteTypes(API));
    const lines = [
      `import { routes } from ${JSON.stringify(join(import.meta.dirname, 'routes.ts'))};`,
      `import { step } from ${JSON.stringify(join(import.meta.dirname, 'scenario.ts'))};`,
      `import type { Routes } from './routes.ts';`,
      `const route = routes<Routes>();`,
      `route('GET /');`,
      `route('GET /articles/{id}/', { params: { id: 1 } });`,
      `route('GET /articles/{id}/', { params: { id: 1 }, query: { page: 2, tags: ['x'] }, headers: { a: 'b' } });`,
      `route('POST /orders/', { json: { price: 1, gift: null } });`,
      `export const kind: 'a' | 'b' = ({} as Routes['GET /articles/{id}/']['answer']).kind;`,
      `export const note: string | null | undefined = ({} as Routes['GET /articles/{id}/']['answer']).parent?.note;`,
      `const article = (id: number) => route('GET /articles/{id}/', { params: { id } });`,
      `step({ name: 'a', request: article(1), expect: { body: (a) => a.json().kind === 'a' }, extract: { id: (a) => a.json().id.toFixed() } });`,
      `step({ name: 'a', request: ({ random }) => article(random.integer(9)), extract: { note: (a) => a.json().parent?.note } });`,
      `step({ name: 'a', request: { path: '/untyped' }, followedBy: [step({ name: 'b', request: article(1) })] });`,
    ];
    const wrong = [
      `step({ name: 'a', request: article(1), extract: { id: (a) => a.json().ide } });`,
      `step({ name: 'a', request: article(1), expect: { body: (a) => a.json().kind === 'c' } });`,
      `step({ name: 'a', request: ({ random }) => article(random.integer(9)), extract: { id: (a) => a.json().parent.note } });`,
      `route('GET /nowhere');`,
      `route('GET /articles/{id}/');`,
      `route('GET /articles/{id}/', { params: { id: 'x' } });`,
      `route('GET /articles/{id}/', { params: { id: 1 }, query: { page: 'two' } });`,
      `route('POST /orders/', { json: { prise: 1 } });`,
      `route('POST /orders/', {});`,
      `export const id: string = ({} as Routes['GET /articles/{id}/']['answer']).id;`,
    ];
    writeFileSync(join(folder, 'use.ts'), [...lines, ...wrong, ''].join('\n'));
    const options = {
      target: 'es2024',
      module: 'nodenext',
      types: ['node'],
      typeRoots: [dirname(dirname(createRequire(import.meta.url).resolve('@types/node/package.json')))],
      strict: true,
      noEmit: true,
      allowImportingTsExtensions: true,
      exactOptionalPropertyTypes: true,
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['use.ts'] }));
    const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
    let said = '';
    try {
      execFileSync(process.execPath, [compiler, '-p', folder, '--pretty', 'false'], { encoding: 'utf8' });
    } catch (error) {
      said = (error as { stdout: string }).stdout;
    }
    const complained = [...said.matchAll(/use\.ts\((\d+),/g)].map(([, line]) => Number(line));
    assert.deepEqual(
      [...new Set(complained)],
      wrong.map((_, index) => lines.length + 1 + index),
      said,
    );
    assert.ok(!/routes\.ts\(/.test(said), said);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a request is made of its parts', () => {
  const route =
    routes<
      Record<
        'GET /a/{id}/{name}' | 'POST /b',
        { params?: Record<string, string | number>; query?: Record<string, unknown>; json?: unknown }
      >
    >();
  assert.deepEqual(
    route('GET /a/{id}/{name}', {
      params: { id: 1, name: 'x/y é' },
      query: { p: 2, tags: ['a', 'b&'], none: undefined },
    }),
    {
      method: 'GET',
      path: '/a/1/x%2Fy%20%C3%A9?p=2&tags=a&tags=b%26',
    },
  );
  assert.deepEqual(route('POST /b', { json: { a: 1 } }), { method: 'POST', path: '/b', json: { a: 1 } });
  assert.throws(() => route('GET /a/{id}/{name}', { params: { id: 1 } }), {
    code: 'ERR_LAB_SCENARIO',
    message: /lacks the parameter name/,
  });
});

test('what is no document says so', () => {
  for (const wrong of [null, 'x', {}, { swagger: '2.0', paths: {} }, { openapi: '3.0.0' }]) {
    assert.throws(() => writeRouteTypes(wrong), { code: 'ERR_LAB_OPTION' });
  }
});
