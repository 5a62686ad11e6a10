/**
 * `npm run bench:serve`: what a hit is worth beside (a) a bare `node:http` server that sends the same fields and bytes, (b) Nginx
 * with `proxy_cache`, one worker, (c) Fastify with two caches of npm. All take turns in one run, each on core 0, driven from core 1
 * by `wrk`. Prints Markdown. 8 minutes. Needs Debian's `wrk` and `nginx-light`, and `npm ci --ignore-scripts --prefix bench/peers`.
 *
 * Requests per second suffer from whatever else the machine does; the processor time that the server took per request (of
 * all its processes, from /proc) suffers less, so both are told, and both as ratios: ours ÷ theirs, above 1 when ours is better.
 *
 *   BENCH_ROUNDS=7 BENCH_SECONDS=2 BENCH_CONNECTIONS=32 BENCH_ENTRIES=1000,1000000 npm run bench:serve
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { median } from './load.ts';
import { cpuSeconds, treeOf } from './processes.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 2);
const CONNECTIONS = Number(process.env.BENCH_CONNECTIONS ?? 32);
const ENTRIES = (process.env.BENCH_ENTRIES ?? '1000,1000000').split(',').map(Number);
const OURS = 'Vazão';
/** What belongs to one connection or one sending, and is added by whoever sends. */
const OF_SENDING = new Set(['connection', 'date', 'keep-alive', 'transfer-encoding', 'content-length']);

/** What ours ÷ theirs is to be at least. */
const GOALS: Readonly<Record<string, number>> = {
  'node:http': 0.9,
  Nginx: 1,
  bentocache: 1.5,
  'async-cache-dedupe': 1.5,
};
/** The most entries ÷ the fewest. */
const ENTRIES_GOAL = 0.9;
/** Rounds before those that count: in the first one the heap of a million entries is collected, which takes seconds on one core. */
const ENTRIES_WARM_UP = 3;

interface Server {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

interface Scenario {
  readonly name: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The peers have no such thing. */
  readonly withPeers: boolean;
}

interface Measured {
  readonly perSecond: number;
  readonly p99Ms: number;
  readonly cpuUs: number;
}

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
if (!has('wrk')) {
  // Another generator would have to ask for other keys each time, too, or a million entries would be measured by one.
  console.error('bench:serve drives the servers with wrk, which is not installed: `apt-get install wrk` installs it.');
  process.exit(1);
}
const pin = (core: number, words: readonly string[]): string[] =>
  has('taskset') && cpus().length > 1 ? ['taskset', '-c', String(core), ...words] : [...words];
const folder = mkdtempSync(join(tmpdir(), 'vazao-serve-'));
const children: ChildProcess[] = [];
const postgres = await startTestServer();
let portNext = 8_500;

try {
  console.log(
    `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.versions.node}; ${ROUNDS} rounds of ${SECONDS} s, ${CONNECTIONS} connections, driven by wrk; servers on core 0, generator on core 1.\n`,
  );
  await compare();
  await countEntries();
} finally {
  for (const child of children) child.kill('SIGTERM');
  await Promise.all(children.map((child) => child.exitCode ?? new Promise((resolve) => child.once('exit', resolve))));
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function compare(): Promise<void> {
  const ours = await startOurs();
  const scenarios = await prepare(ours);
  const answers = [];
  for (const [at, { path, headers }] of scenarios.entries()) answers.push(await record(ours, path, headers, `/${at}`));
  const bare = await start('node:http', ['bare.ts'], answers[0]?.path as string, JSON.stringify(answers));
  const nginx = await startNginx(bare);
  const peers = [await startPeer('bentocache'), await startPeer('async-cache-dedupe')];
  const rows: string[] = [];
  for (const [at, scenario] of scenarios.entries()) {
    const rivals = [
      { server: bare, path: `/${at}` },
      // Nginx decides about a 304 itself, from the 200 that it has.
      ...(nginx ? [{ server: nginx, path: `/${answers[at]?.status === 304 ? at - 1 : at}` }] : []),
      ...(scenario.withPeers ? peers.flatMap((server) => (server ? [{ server, path: scenario.path }] : [])) : []),
    ];
    await assertAnswers(scenario, answers[at]?.status ?? 0, [{ server: ours, path: scenario.path }, ...rivals]);
    rows.push(...(await race(scenario, ours, rivals, answers[at]?.bytes ?? 0)));
  }
  console.log(
    `| hit | server | requests/s | p99, ms | processor, µs a request | ours ÷ theirs, requests/s (min–max) | goal | by processor time |\n|---|---|---|---|---|---|---|---|\n${rows.join('\n')}\n`,
  );
  for (const child of children.splice(0)) {
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
  }
}

async function prepare(ours: Server): Promise<Scenario[]> {
  const gzip = { 'accept-encoding': 'gzip' };
  const listEtag = String((await ask(ours, '/lista', gzip)).headers.etag);
  const user = { authorization: 'Bearer ana' };
  return [
    { name: 'a row', path: '/itens/1', headers: {}, withPeers: true },
    { name: 'a list', path: '/lista', headers: {}, withPeers: true },
    { name: 'the list, by gzip', path: '/lista', headers: gzip, withPeers: false },
    { name: 'the list, 304', path: '/lista', headers: { ...gzip, 'if-none-match': listEtag }, withPeers: false },
    { name: 'of one user', path: '/eu', headers: user, withPeers: true },
  ];
}

/** What ours answers, for others to answer the same. */
async function record(
  ours: Server,
  path: string,
  headers: Readonly<Record<string, string>>,
  under: string,
): Promise<{ path: string; status: number; fields: string[]; body: string; bytes: number }> {
  await ask(ours, path, headers);
  const { answer, body } = await askWhole(ours, path, headers);
  if (!answer.headers['cache-status']?.includes('; hit')) throw new Error(`${path}: ${answer.headers['cache-status']}`);
  const fields: string[] = [];
  for (let at = 0; at < answer.rawHeaders.length; at += 2) {
    const name = (answer.rawHeaders[at] as string).toLowerCase();
    if (!OF_SENDING.has(name)) fields.push(name, answer.rawHeaders[at + 1] as string);
  }
  if (answer.statusCode !== 304) fields.push('content-length', String(body.length));
  return { path: under, status: answer.statusCode ?? 0, fields, body: body.toString('base64'), bytes: body.length };
}

/** Each must answer as it is to, and whoever answers 304 must have compared. */
async function assertAnswers(
  { name, headers }: Scenario,
  status: number,
  runners: readonly { server: Server; path: string }[],
): Promise<void> {
  for (const { server, path } of runners) {
    await ask(server, path, headers); // fills
    const answer = await ask(server, path, headers);
    if (answer.statusCode !== status) throw new Error(`${name}: ${server.name} answers ${answer.statusCode}`);
    if (status !== 304 || server.name === 'node:http') continue;
    const other = await ask(server, path, { ...headers, 'if-none-match': '"another"' });
    if (other.statusCode !== 200) throw new Error(`${name}: ${server.name} answers ${other.statusCode} to another tag`);
  }
}

async function race(
  scenario: Scenario,
  ours: Server,
  rivals: readonly { server: Server; path: string }[],
  bytes: number,
): Promise<string[]> {
  const runners = [{ server: ours, path: scenario.path }, ...rivals];
  const measured = new Map<string, Measured[]>(runners.map(({ server }) => [server.name, []]));
  for (let round = -1; round < ROUNDS; round++) {
    for (const { server, path } of round % 2 ? runners : runners.toReversed()) {
      const result = await measure(server, path, scenario.headers);
      if (round >= 0) measured.get(server.name)?.push(result); // the first is to warm up
    }
  }
  const of = (name: string, value: (one: Measured) => number): number[] => (measured.get(name) ?? []).map(value);
  const perSecond = of(OURS, (one) => one.perSecond);
  const cpuUs = of(OURS, (one) => one.cpuUs);
  return runners.map(({ server: { name } }) => {
    const rate = of(name, (one) => one.perSecond);
    const cost = of(name, (one) => one.cpuUs);
    const ratios = rate.map((one, round) => (perSecond[round] as number) / one);
    const savings = cost.map((one, round) => one / (cpuUs[round] as number));
    const range = `**${median(ratios).toFixed(2)}** (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`;
    const columns = [
      name === OURS ? `${scenario.name} (${bytes} bytes)` : '',
      name,
      median(rate).toFixed(0),
      median(of(name, (one) => one.p99Ms)).toFixed(1),
      median(cost).toFixed(1),
      name === OURS ? '' : range,
      name === OURS ? '' : judge(median(ratios), GOALS[name] ?? Number.NaN),
      name === OURS ? '' : median(savings).toFixed(2),
    ];
    return `| ${columns.join(' | ')} |`;
  });
}

function judge(ratio: number, goal: number): string {
  return `≥ ${goal.toFixed(1)}: ${ratio >= goal ? 'met' : 'missed'}`;
}

/** The same hits, spread over few and over many entries. */
async function countEntries(): Promise<void> {
  const servers = [];
  for (const entries of ENTRIES) {
    const words = ['--max-old-space-size=12000', '--expose-gc', join(import.meta.dirname, 'serve/entries.ts')];
    servers.push({ entries, server: await startNode(`${entries} entries`, words, [String(entries)], '/itens/1') });
  }
  const script = join(folder, 'random.lua');
  const results = new Map<number, Measured[]>(ENTRIES.map((entries) => [entries, []]));
  for (let round = -ENTRIES_WARM_UP; round < ROUNDS; round++) {
    for (const { entries, server } of round % 2 ? servers : servers.toReversed()) {
      writeFileSync(
        script,
        // Without a seed each round would ask for the same keys.
        `math.randomseed(${round + ENTRIES_WARM_UP + 1}); request = function() return wrk.format("GET", "/itens/" .. math.random(1, ${entries})) end\n`,
      );
      const result = await measure(server, '/itens/1', {}, script);
      if (round >= 0) results.get(entries)?.push(result);
    }
  }
  console.log(
    '| entries | bytes counted for each | requests/s | processor, µs a request | ÷ fewest, requests/s (min–max) | goal | by processor time |\n|---|---|---|---|---|---|---|',
  );
  const first = results.get(ENTRIES[0] as number) ?? [];
  for (const { entries, server } of servers) {
    const all = results.get(entries) ?? [];
    const figures = JSON.parse(String((await askWhole(server, '/health', {})).body)) as { sizeBytes: number };
    const ratios = all.map((one, round) => one.perSecond / (first[round] as Measured).perSecond);
    const savings = all.map((one, round) => (first[round] as Measured).cpuUs / one.cpuUs);
    console.log(
      `| ${entries.toLocaleString('en')} | ${(figures.sizeBytes / entries).toFixed(0)} | ${median(all.map((one) => one.perSecond)).toFixed(0)} | ${median(all.map((one) => one.cpuUs)).toFixed(1)} | ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}) | ${judge(median(ratios), ENTRIES_GOAL)} | ${median(savings).toFixed(2)} |`,
    );
  }
}

async function measure(
  server: Server,
  path: string,
  headers: Readonly<Record<string, string>>,
  script?: string,
): Promise<Measured> {
  const spentS = (): number => treeOf(server.pid).reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = spentS();
  const { requests, perSecond, p99Ms } = await drive(server, path, headers, script);
  return { perSecond, p99Ms, cpuUs: ((spentS() - before) * 1e6) / requests };
}

async function drive(
  { port, name }: Server,
  path: string,
  headers: Readonly<Record<string, string>>,
  script: string | undefined,
): Promise<{ requests: number; perSecond: number; p99Ms: number }> {
  const fields = Object.entries(headers).flatMap(([field, value]) => ['-H', `${field}: ${value}`]);
  const scripted = script === undefined ? [] : ['-s', script];
  const words = ['wrk', '-t1', `-c${CONNECTIONS}`, `-d${SECONDS}s`, '--latency', ...fields, ...scripted];
  const [program, ...rest] = pin(1, [...words, `http://127.0.0.1:${port}${path}`]) as [string, ...string[]];
  const { stdout } = await promisify(execFile)(program, rest);
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${name} ${path}: ${stdout}`);
  const p99 = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout);
  const unit = { us: 0.001, ms: 1, s: 1_000 }[p99?.[2] as 'us' | 'ms' | 's'] ?? Number.NaN;
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)?.[1]),
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p99Ms: Number(p99?.[1]) * unit,
  };
}

async function startOurs(): Promise<Server> {
  const main = join(import.meta.dirname, '../packages/vazao/src/cli/main.ts');
  const words = [main, 'start', join(import.meta.dirname, 'serve/app.ts')];
  return startNode(OURS, words, [], '/itens/1', {
    NODE_ENV: 'production',
    VAZAO_SECRET: 'a secret of more than thirty-two characters',
    WORKERS: '0',
    LOG_LEVEL: 'silent',
    DATABASE_URL: postgres.url,
    VAZAO_DATA: join(folder, 'data'),
  });
}

function startPeer(name: string): Promise<Server | undefined> {
  return start(name, ['peer.ts', name], '/itens/1').catch(() => {
    console.log(`${name} is left out: \`npm ci --prefix bench/peers\` installs it.\n`);
    return undefined;
  });
}

function start(name: string, [file = '', ...words]: string[], path: string, input?: string): Promise<Server> {
  return startNode(name, [join(import.meta.dirname, 'serve', file)], words, path, {}, input);
}

async function startNode(
  name: string,
  words: readonly string[],
  more: readonly string[],
  path: string,
  environment: Readonly<Record<string, string>> = {},
  input?: string,
): Promise<Server> {
  const port = portNext++;
  const argumentsOf = words.includes('start') ? words : [...words, String(port), ...more];
  const child = run([process.execPath, ...argumentsOf], { PORT: String(port), ...environment }, input);
  return untilServing({ name, port, pid: child.pid as number }, child, path);
}

/** Undefined where there is no Nginx. */
async function startNginx(origin: Server): Promise<Server | undefined> {
  if (!has('nginx')) {
    console.log('Nginx is left out: `apt-get install nginx-light` installs it.\n');
    return undefined;
  }
  const port = portNext++;
  const configuration = join(folder, 'nginx.conf');
  mkdirSync(join(folder, 'nginx'), { recursive: true });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder}/nginx/${kind};`)
    .join(' ');
  writeFileSync(
    configuration,
    `worker_processes 1; daemon off; pid ${folder}/nginx/pid; error_log ${folder}/nginx/error.log; user root;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache max=10000; ${temporary}
  proxy_cache_path ${folder}/nginx/cache keys_zone=hits:10m inactive=1d;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${origin.port};
      proxy_cache hits; proxy_cache_key $request_uri; proxy_cache_valid any 1d;
      proxy_ignore_headers Cache-Control Vary Set-Cookie Expires;
    }
  }
}
`,
  );
  const child = run(['nginx', '-c', configuration], {});
  return untilServing({ name: 'Nginx', port, pid: child.pid as number }, child, '/0');
}

function run(words: readonly string[], environment: Readonly<Record<string, string>>, input?: string): ChildProcess {
  const [program, ...rest] = pin(0, words) as [string, ...string[]];
  const child = spawn(program, rest, {
    env: { ...process.env, ...environment },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'ignore', 'inherit'],
  });
  child.stdin?.end(input);
  children.push(child);
  return child;
}

async function untilServing(server: Server, child: ChildProcess, path: string): Promise<Server> {
  const deadline = Date.now() + 180_000;
  while (Date.now() < deadline && child.exitCode === null) {
    const status = await ask(server, path, {}).then(
      ({ statusCode }) => statusCode ?? 0,
      () => 0,
    );
    if (status > 0 && status < 400) return server;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${server.name} did not start`);
}

async function ask(server: Server, path: string, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
  return (await askWhole(server, path, headers)).answer;
}

function askWhole(
  { port }: Server,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ answer: IncomingMessage; body: Buffer }> {
  return new Promise((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port, path, headers, agent: false }, (answer) => {
      buffer(answer).then((body) => resolve({ answer, body }), reject);
    })
      .on('error', reject)
      .end();
  });
}
