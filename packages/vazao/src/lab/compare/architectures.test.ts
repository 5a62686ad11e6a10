/** The configuration of Nginx, as Nginx takes it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { nginxConfiguration } from './architectures.ts';

/** Debian's is in the path of root alone. */
const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`;

test('Nginx stands in front: it passes on everything, keeps its connections, and says who asked', {
  timeout: 480_000,
}, async () => {
  const sockets = new Set<unknown>();
  const asked: { method: string | undefined; url: string | undefined; headers: IncomingHttpHeaders; body: string }[] =
    [];
  const upstream = createServer((request, response) => {
    sockets.add(request.socket);
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => {
      asked.push({ method: request.method, url: request.url, headers: request.headers, body });
      response.setHeader('cache-status', 'vazao; hit').setHeader('cache-control', 'public, max-age=60');
      response.end(`answer ${asked.length}`);
    });
  });
  upstream.keepAliveTimeout = 60_000;
  const upstreamPort = await new Promise<number>((done) => {
    upstream.listen(0, '127.0.0.1', () => done((upstream.address() as { port: number }).port));
  });
  const port = await findFreePort();
  const folder = mkdtempSync(join(tmpdir(), 'vazao-nginx-'));
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, nginxConfiguration({ folder, port, upstreamPort }));
  const nginx = spawn('nginx', ['-p', folder, '-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH },
  });
  let said = '';
  nginx.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
  });
  const ended = new Promise<number | string>((done) => {
    nginx.once('error', (error) => done(`${error.message}: tests/install-parts.sh installs it`));
    nginx.once('close', (code) => done(code ?? 'killed'));
  });
  try {
    const early = await Promise.race([ended, untilAccepts(port)]);
    assert.equal(early, undefined, `Nginx ended with ${early}: ${said}`);
    const url = `http://127.0.0.1:${port}/campanhas/1%2F2?pagina=%C3%A7&x=1`;
    for (let n = 1; n <= 20; n++) {
      const answer = await fetch(
        url,
        n % 2 === 0 ? { method: 'POST', body: 'doação' } : { headers: { 'x-forwarded-for': '9.9.9.9' } },
      );
      assert.equal(await answer.text(), `answer ${n}`, 'nothing is cached by Nginx itself');
      assert.equal(answer.headers.get('cache-status'), 'vazao; hit');
    }
    assert.ok(sockets.size <= 4, `${sockets.size} connections for 20 requests, one after the other`);
    assert.deepEqual(new Set(asked.map(({ url: path }) => path)), new Set(['/campanhas/1%2F2?pagina=%C3%A7&x=1']));
    assert.deepEqual(
      asked.slice(0, 2).map(({ method, body }) => [method, body]),
      [
        ['GET', ''],
        ['POST', 'doação'],
      ],
    );
    for (const { headers } of asked) {
      const { host, 'x-forwarded-for': from, 'x-forwarded-proto': scheme } = headers;
      assert.deepEqual(
        [host, from, scheme],
        [`127.0.0.1:${port}`, '127.0.0.1', 'http'],
        'what a client claims is not believed',
      );
    }
    const log = readFileSync(join(folder, 'nginx.log'), 'utf8');
    assert.doesNotMatch(log, /\[(emerg|alert|crit|error)\]/);
  } finally {
    nginx.kill('SIGTERM');
    await ended;
    upstream.closeAllConnections();
    await new Promise((done) => upstream.close(done));
    rmSync(folder, { recursive: true, force: true });
  }
});

async function untilAccepts(port: number): Promise<undefined> {
  for (;;) {
    const accepts = await new Promise<boolean>((done) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        done(true);
      });
      socket.once('error', () => done(false));
    });
    if (accepts) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function findFreePort(): Promise<number> {
  return new Promise((done) => {
    const server = createTcpServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}
