/** Users, checks, failures and ends, against servers that misbehave in known ways. */
import assert from 'node:assert/strict';
import { createServer as createTcpServer } from 'node:net';
import { suite, test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { startLabServer, writeScenario } from '../../testing/lab-server.ts';
import { type RunOptions, runPlan } from '../plans/run-plan.ts';
import type { RunResult } from '../run-result.ts';

const QUICK = { plan: 'load', rate: 200, timing: 'even', durationS: 0.5, warmUpS: 0 } as const;

async function run(code: string, target: string, options: Partial<RunOptions> = {}): Promise<RunResult> {
  using scenario = writeScenario(code);
  return await runPlan({ ...QUICK, module: scenario.path, target, ...options });
}

test('each way to fail is counted by itself', async () => {
  await using server = await startLabServer((request, response) => {
    switch (request.url) {
      case '/timeout':
        return;
      case '/reset':
        response.write('begun');
        setTimeout(() => request.socket.destroy(), 5);
        return;
      case '/malformed':
        request.socket.end('HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n');
        return;
      case '/status':
        response.writeHead(500).end('broken');
        return;
      default:
        response.setHeader('content-type', 'text/plain');
        response.end('hello');
    }
  });
  const steps = ['timeout', 'reset', 'malformed', 'status', 'check', 'extract', 'ok', 'expected'].map((name) => ({
    name,
    request: { path: `/${name === 'expected' ? 'status' : name}` },
    ...(name === 'check' && { expect: { body: 'bye' } }),
    ...(name === 'expected' && { expect: { status: [500, 503], body: 'broken' } }),
  }));
  const code = `const steps = ${JSON.stringify(steps)};
    steps.find(({ name }) => name === 'extract').extract = { id: (answer) => answer.json().id };
    export default { name: 'failures', timeoutMs: 3_000, steps };`;
  const {
    total,
    steps: byStep,
    criteria,
  } = await run(code, server.origin, {
    durationS: 1,
    criteria: [{ metric: 'hitRate', min: 0.5 }],
  });
  assert.equal(total.offered, 200);
  for (const { name, offered, succeeded, completed, errors, latency } of byStep) {
    assert.ok(offered > 5, `${name} was chosen`);
    const expected = { timeout: 0, connect: 0, reset: 0, malformed: 0, status: 0, check: 0 };
    const kind = name === 'extract' ? 'check' : name;
    const fails = Object.hasOwn(expected, kind);
    assert.deepEqual(errors, fails ? { ...expected, [kind]: offered } : expected, name);
    assert.equal(succeeded, fails ? 0 : offered, name);
    assert.equal(latency.count, fails && kind !== 'timeout' ? 0 : offered, `${name}: latency of answers that are none`);
    assert.equal(completed, ['timeout', 'reset', 'malformed'].includes(name) ? 0 : offered, name);
  }
  const [timeouts] = byStep;
  assert.ok(
    timeouts && timeouts.latency.count === timeouts.offered && timeouts.latency.minMs >= 2_990,
    'they count with their time',
  );
  assert.equal(criteria[0]?.outcome, 'unknown', 'no answer carried Cache-Status');
});

test('quick refusals make nobody fast: latency and throughput are of answers that succeeded', async () => {
  let asked = 0;
  await using server = await startLabServer((_request, response) => {
    asked += 1;
    if (asked % 4 > 0) response.writeHead(503).end();
    else setTimeout(() => response.end('late'), 100);
  });
  const code = `export default { name: 'admission', steps: [{ name: 'get', request: { path: '/' } }] }`;
  const { total, seconds } = await run(code, server.origin, { durationS: 1 });
  assert.deepEqual([total.succeeded, total.errors.status, total.throughput], [50, 150, 50]);
  assert.ok(total.latency.minMs >= 95 && total.service.minMs >= 95, JSON.stringify(total.latency));
  assert.ok(seconds.every(({ latency }) => latency.count === 0 || latency.minMs >= 95));
});

test('a server that refuses connections', async () => {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  const { total, verdict } = await run(
    `export default { name: 'x', steps: [{ name: 'get', request: { path: '/' } }] }`,
    `http://127.0.0.1:${port}`,
    { plan: 'smoke', rate: 100 },
  );
  assert.equal(total.errors.connect, 50);
  assert.equal(total.latency.count, 0, 'what was refused has no latency');
  assert.equal(verdict, 'failed');
});

test('users log in once, keep their cookies and values, and are not each other', async () => {
  const logins = new Map<string, number>();
  const wrong: string[] = [];
  await using server = await startLabServer((request, response) => {
    const { url = '', headers } = request;
    if (url.startsWith('/login/')) {
      const user = url.slice('/login/'.length);
      logins.set(user, (logins.get(user) ?? 0) + 1);
      response.setHeader('set-cookie', [
        `session=s${user}; Path=/; HttpOnly`,
        'hidden=1; Path=/elsewhere',
        'gone=1; Max-Age=0',
      ]);
      response.end(JSON.stringify({ id: user }));
      return;
    }
    const [, user] = url.split('/').slice(1);
    if (headers.cookie !== `session=s${user}` || headers['x-user'] !== user) wrong.push(`${url} ${headers.cookie}`);
    response.end('ok');
  });
  const code = `export default {
    name: 'users', users: 7,
    login: { name: 'login', request: ({ user }) => ({ path: '/login/' + user.index }), extract: { id: (answer) => answer.json().id } },
    headers: (user) => ({ 'x-user': user.values.id ?? '' }),
    steps: [
      { name: 'page', request: ({ user }) => ({ path: '/page/' + user.values.id }), needs: ['id'],
        followedBy: [{ name: 'more', request: ({ user }) => ({ path: '/more/' + user.values.id }) }] },
      { name: 'never', request: { path: '/never' }, needs: ['nothing'] },
    ],
  }`;
  const open = await run(code, server.origin, { threads: 2 });
  assert.deepEqual([...logins.values()], Array(7).fill(1));
  assert.deepEqual(wrong, []);
  assert.deepEqual(
    open.steps.map(({ name, succeeded }) => [name, succeeded]),
    [
      ['login', 0],
      ['page', 100],
      ['more', 100],
      ['never', 0],
    ],
  );
  assert.equal(open.generator.threads, 2);
  logins.clear();
  const closed = await run(code, server.origin, { rate: undefined, users: 5, thinkMs: 50 });
  assert.deepEqual([...logins.keys()].sort(), ['0', '1', '2', '3', '4']);
  assert.ok(closed.steps.every(({ offered, succeeded }) => offered === succeeded));
  assert.deepEqual([wrong, [...logins.values()]], [[], [1, 1, 1, 1, 1]]);
});

test('a log-in that is refused ends the run before it begins', async () => {
  await using server = await startLabServer((_request, response) => response.writeHead(403).end());
  const code = `export default { name: 'x', login: { name: 'login', request: { path: '/' } }, steps: [{ name: 'a', request: { path: '/' } }] }`;
  await assert.rejects(run(code, server.origin), {
    code: 'ERR_LAB_START',
    message: 'User 0 could not log in: status (status 403).',
  });
});

test('redirects are followed if they are allowed; compressed bodies are read', async () => {
  await using server = await startLabServer((request, response) => {
    const { url, method } = request;
    if (url === '/old') response.writeHead(302, { location: '/new?a=1' }).end();
    else if (url === '/away') response.writeHead(301, { location: 'http://192.0.2.1/' }).end();
    else if (url === '/kept') response.writeHead(307, { location: '/br' }).end();
    else if (url === '/br' && method === 'POST')
      response.writeHead(200, { 'content-encoding': 'br' }).end(brotliCompressSync('brotli'));
    else if (url === '/new?a=1') response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('gzip'));
    else response.writeHead(404).end();
  });
  const code = (redirectsMax: number) => `export default { name: 'x', redirectsMax: ${redirectsMax}, steps: [
    { name: 'old', request: { path: '/old', json: { a: 1 } }, expect: { status: 200, body: /^gzip$/ } },
    { name: 'kept', request: { path: '/kept', form: { a: 'b' } }, expect: { status: 200, body: 'brotli' } },
    { name: 'away', request: { path: '/away' }, expect: { status: 301 } },
  ] }`;
  const followed = await run(code(3), server.origin);
  assert.deepEqual(
    followed.steps.map(({ succeeded, offered }) => succeeded - offered),
    [0, 0, 0],
  );
  const plain = await run(code(0), server.origin);
  assert.equal(plain.total.errors.status, (plain.steps[0]?.offered ?? 0) + (plain.steps[1]?.offered ?? 0));
});

test('what answers say of cache and stages comes to the figures', async () => {
  let count = 0;
  await using server = await startLabServer((_request, response) => {
    const hit = count++ % 4 !== 0;
    response.setHeader('cache-status', hit ? 'vazao; hit; detail="lag=0.2ms"' : 'vazao; fwd=uri-miss; stored');
    response.setHeader(
      'server-timing',
      hit ? 'cache;dur=0.1' : 'q1;dur=1.5;desc="select, \\"x\\"", q2;dur=0.5, total;dur=3',
    );
    response.end();
  });
  const {
    total,
    samples,
    server: said,
  } = await run(`export default { name: 'x', steps: [{ name: 'a', request: { path: '/' } }] }`, server.origin);
  assert.deepEqual([total.cacheHits, total.cacheMisses, total.queriesPerRequest], [75, 25, 0.5]);
  const miss = samples.find(({ cache }) => cache === 'miss');
  assert.deepEqual(miss?.stages, { queries: 2, total: 3 });
  assert.ok(
    said.some(({ stages }) => stages?.queries === 2 && stages.cache !== undefined),
    JSON.stringify(said),
  );
});

test('an interrupted run ends with what it has', async () => {
  await using server = await startLabServer((_request, response) => response.end());
  const stopping = new AbortController();
  const { ended, total, phases, durationS } = await run(
    `export default { name: 'x', steps: [{ name: 'a', request: { path: '/' } }] }`,
    server.origin,
    {
      durationS: 600,
      signal: stopping.signal,
      onProgress: () => stopping.abort(),
    },
  );
  assert.equal(ended, 'interrupted');
  assert.ok(total.offered > 50 && total.offered === total.succeeded, `${total.offered} requests`);
  assert.ok(durationS > 0.9 && durationS < 60 && phases[0]?.durationS === durationS, `${durationS} s`);
});

suite('what can not run says why', () => {
  const code = `export default { name: 'x', steps: [{ name: 'a', request: { path: '/' } }] }`;
  test('another machine', () =>
    assert.rejects(run(code, 'http://192.0.2.1:80'), {
      code: 'ERR_LAB_TARGET',
      message: /--target-is-mine 192\.0\.2\.1$/,
    }));
  test('another machine by another name', () =>
    assert.rejects(run(code, 'http://192.0.2.1:80', { targetIsMine: '192.0.2.2' }), { code: 'ERR_LAB_TARGET' }));
  test('TLS', () => assert.rejects(run(code, 'https://127.0.0.1'), { code: 'ERR_LAB_TARGET' }));
  test('a module without a scenario', () =>
    assert.rejects(run('export const scenario = 1', 'http://127.0.0.1:1'), { code: 'ERR_LAB_SCENARIO' }));
  test('two steps of one name', () =>
    assert.rejects(
      run(
        `export default { name: 'x', steps: [{ name: 'a', request: { path: '/' } }, { name: 'a', request: { path: '/' } }] }`,
        'http://127.0.0.1:1',
      ),
      { code: 'ERR_LAB_SCENARIO', message: /"a"/ },
    ));
  test('a request that throws', () =>
    assert.rejects(
      run(
        `export default { name: 'x', steps: [{ name: 'a', request: () => { throw new Error('no data') } }] }`,
        'http://127.0.0.1:1',
      ),
      { code: 'ERR_LAB_SCENARIO', message: 'a makes no request: no data' },
    ));
  test('a field with a line break', () =>
    assert.rejects(
      run(
        `export default { name: 'x', steps: [{ name: 'a', request: { path: '/', headers: { a: 'b\\r\\nc: d' } } }] }`,
        'http://127.0.0.1:1',
      ),
      { code: 'ERR_LAB_SCENARIO' },
    ));
  test('a rate and users', () =>
    assert.rejects(run(code, 'http://127.0.0.1:1', { users: 1 }), { code: 'ERR_LAB_OPTION' }));
  test('users for whom there is no step', () =>
    assert.rejects(
      run(
        `export default { name: 'x', steps: [{ name: 'a', request: { path: '/' }, needs: ['b'] }] }`,
        'http://127.0.0.1:1',
      ),
      { code: 'ERR_LAB_SCENARIO', message: /no step needs/ },
    ));
});
