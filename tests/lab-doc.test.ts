/** `docs/lab.md`: its example runs, by the command line as it is written, and its tables name every plan and metric. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { METRICS } from '../packages/vazao/src/lab/plans/criteria.ts';
import { PLAN_KINDS } from '../packages/vazao/src/lab/plans/plan.ts';
import type { RunResult } from '../packages/vazao/src/lab/run-result.ts';
import { writeRouteTypes } from '../packages/vazao/src/lab/scenario/openapi-types.ts';
import type { Scenario } from '../packages/vazao/src/lab/scenario/scenario.ts';
import { runCommand } from '../packages/vazao/src/testing/cli.ts';

const text = readFileSync(join(import.meta.dirname, '../docs/lab.md'), 'utf8');

test('every plan and every metric has its line', () => {
  const rowsOf = (from: string, to: string): string[] => {
    const section = text.slice(text.indexOf(from), text.indexOf(to));
    return [...section.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name as string),
    );
  };
  assert.deepEqual(rowsOf('## Plans', '## Criteria').sort(), [...PLAN_KINDS].sort());
  assert.deepEqual(rowsOf('## Criteria', '## The server').sort(), Object.keys(METRICS).sort());
});

test('the example runs', { timeout: 480_000 }, async () => {
  const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(text) ?? [];
  const seen = { logins: 0, unknown: 0, wrongOrders: 0 };
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { url = '', headers } = request;
      if (url === '/health') {
        response.writeHead(404).end();
        return;
      }
      if (url === '/login') {
        seen.logins += 1;
        response.end(JSON.stringify({ token: JSON.parse(body).name }));
        return;
      }
      if (!/^Bearer user\d+$/.test(headers.authorization ?? '')) seen.unknown += 1;
      if (url === '/') response.end('Welcome');
      else if (url === '/orders') {
        if (JSON.parse(body).price !== 7) seen.wrongOrders += 1;
        response.writeHead(201).end();
      } else response.end(JSON.stringify({ price: 7 }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = makeFolder();
  try {
    writeFileSync(join(folder, 'shop.ts'), code);
    const target = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const words = ['lab', 'run', 'shop.ts', '--rate', '200', '--duration', '2s', '--warm-up', '0s', '--target', target];
    const { ended, output } = runCommand([...words, '--json', 'run.json', '--criteria', 'errorRate<=0%'], {}, folder);
    const exit = await ended;
    const run: RunResult = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8'));
    // On a busy machine the run may rightly be void.
    assert.equal(exit, run.generator.void ? 99 : 0, output.stderr + output.stdout);
    assert.deepEqual(seen, { logins: 100, unknown: 0, wrongOrders: 0 });
    assert.deepEqual(run.scenario.steps, ['log in', 'front page', 'article', 'buy']);
    assert.equal(run.total.succeeded, run.total.offered);
    assert.ok(run.total.offered > 200, `${run.total.offered} requests`);
    assert.match(output.stdout, /^front page +\d/m);
    assert.match(output.stdout, /^verdict +(passed|void)$/m);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    server.close();
    server.closeAllConnections();
  }
});

test('the example with types runs', async () => {
  const [, second] = text.matchAll(/```ts\n([\s\S]*?)```/g);
  const [, code = ''] = second ?? [];
  const folder = makeFolder();
  try {
    const parameters = [{ name: 'id', in: 'path', schema: { type: 'integer' } }];
    const document = { openapi: '3.1.0', paths: { '/api/campanhas/{id}/': { get: { parameters, responses: {} } } } };
    writeFileSync(join(folder, 'routes.ts'), writeRouteTypes(document));
    writeFileSync(join(folder, 'campaigns.ts'), code);
    const module: { default: Scenario } = await import(pathToFileURL(join(folder, 'campaigns.ts')).href);
    assert.deepEqual(module.default.steps[0]?.request, { method: 'GET', path: '/api/campanhas/7/' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Where `vazao/lab` is found as it is in the workspace. */
function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-lab-doc-'));
  symlinkSync(join(import.meta.dirname, '../node_modules'), join(folder, 'node_modules'));
  return folder;
}
