/**
 * `npx node bench/connection-memory.ts`: what a connection on which nothing is asked takes of its server's memory, beside one of
 * Node's own servers. Each in a process of its own, after a collection of garbage; private pages, so without the kernel's buffers. 1 minute.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommandRun, runCommand, watch } from '../packages/vazao/src/testing/cli.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';

const CONNECTIONS = 5_000;
/** Opened before: code, the first pages of the heap, and the thousand parsers that Node keeps for later are there then. */
const WARM = 1_200;
const AT_ONCE = 50;
/** Between so many: 500 connections come a second, as when 10,000 come back within ten seconds to one of two workers. */
const PAUSE_MS = 100;
/** After this no connection has a parser that needs none. */
const QUIET_MS = 2_000;

const folder = mkdtempSync(join(tmpdir(), 'vazao-connection-memory-'));
const collected = join(folder, 'collected');
const hook = join(folder, 'collect.cjs');
writeFileSync(
  hook,
  `process.on('SIGUSR2', async () => {
    for (let turn = 0; turn < 3; turn++) { gc(); await new Promise((resolve) => setTimeout(resolve, 50)); }
    require('node:fs').writeFileSync(${JSON.stringify(collected)}, String(process.memoryUsage().heapUsed));
  });`,
);
const NODE_OPTIONS = `--expose-gc --max-semi-space-size=2 --require=${hook}`;

const ANSWER = 'HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok';
const BARE = {
  'node:net': `createServer((socket) => socket.on('data', () => socket.write('${ANSWER}')).on('error', () => {}))`,
  'node:http': `createServer({ keepAliveTimeout: 72_000 }, (request, response) => response.end('ok'))`,
};

const postgres = await startTestServer();
try {
  console.log(
    `${cpus()[0]?.model.trim()}, Node ${process.versions.node}; KB for each of ${CONNECTIONS} connections.\n\n` +
      "| server | connections that come | KB | of that in V8's heap |\n|---|---|---|---|",
  );
  for (const [name, code] of Object.entries(BARE)) {
    const listen = `.listen(0, '127.0.0.1', 4096, function () { console.log('ready at http://127.0.0.1:' + this.address().port); })`;
    const env = { PATH: process.env.PATH, NODE_OPTIONS };
    await measure(name, watch(spawn(process.execPath, ['-e', `require('${name}').${code}${listen}`], { env })), '/');
  }
  const start = (): CommandRun =>
    runCommand(
      ['start', join(import.meta.dirname, 'serve/app.ts')],
      {
        NODE_ENV: 'production',
        VAZAO_SECRET: 'a secret of more than thirty-two characters',
        PORT: '0',
        WORKERS: '0',
        LOG_LEVEL: 'warn',
        DATABASE_URL: postgres.url,
        VAZAO_DATA: join(folder, 'data'),
        NODE_OPTIONS,
      },
      folder,
    );
  await measure('vazao, hits', start(), '/itens/1');
  await measure('vazao, nothing cached', start(), '/none');
  await measure('vazao, hits', start(), '/itens/1', 0);
} finally {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function measure(name: string, run: CommandRun, path: string, pauseMs = PAUSE_MS): Promise<void> {
  const { hostname, port } = new URL(await run.url);
  const pid = run.child.pid as number;
  const open = async (count: number): Promise<Socket[]> => {
    const sockets: Socket[] = [];
    for (let at = 0; at < count; at += AT_ONCE) {
      const some = Array.from({ length: AT_ONCE }, () => connect(Number(port), hostname));
      for (let turn = 0; turn < 2; turn++) await Promise.all(some.map((socket) => ask(socket, path)));
      sockets.push(...some);
      await delay(pauseMs);
    }
    return sockets;
  };
  const warm = await open(WARM);
  await delay(QUIET_MS);
  const before = await memory(pid);
  const sockets = await open(CONNECTIONS);
  await delay(QUIET_MS);
  const after = await memory(pid);
  const each = (bytes: number): string => (bytes / CONNECTIONS / 1_024).toFixed(1);
  console.log(
    `| ${name} | ${pauseMs > 0 ? '500 a second' : 'at once'} | ${each(after.pages - before.pages)} | ${each(after.heap - before.heap)} |`,
  );
  for (const socket of [...warm, ...sockets]) socket.destroy();
  run.child.kill('SIGKILL');
  await run.ended;
}

async function ask(socket: Socket, path: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.once('data', () => resolve()); // an answer of so few bytes comes in one piece
  socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nUser-Agent: ${'x'.repeat(80)}\r\nAccept: */*\r\n\r\n`);
  await promise;
}

async function memory(pid: number): Promise<{ readonly pages: number; readonly heap: number }> {
  rmSync(collected, { force: true });
  process.kill(pid, 'SIGUSR2');
  while (!existsSync(collected) || readFileSync(collected, 'utf8') === '') await delay(20);
  const pages = Number(/^Pss_Anon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]) * 1_024;
  return { pages, heap: Number(readFileSync(collected, 'utf8')) };
}
