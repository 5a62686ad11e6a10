import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Balancer } from './balancer.ts';
import { Checker } from './checker.ts';
import { Client } from './client.ts';
import { CompiledReader } from './compiled-reader.ts';
import type { Read, Violation } from './history.ts';
import type { Host } from './host.ts';
import { createRandom } from './random.ts';
import { Staleness, Traffic } from './traffic.ts';

type Respond = (request: IncomingMessage, response: ServerResponse, count: number) => void;

interface Seen {
  readonly reads: readonly Read[];
  readonly violations: readonly Violation[];
  readonly traffic: Traffic;
}

/** A client that reads one URL of a server so many times, while the register r is at version 1. */
async function read(times: number, id: number, respond: Respond): Promise<Seen> {
  let count = 0;
  const server = createServer((request, response) => respond(request, response, count++));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = { name: 'host A', port: (server.address() as AddressInfo).port } as Host;
  const checker = new Checker({ registers: ['r'], clients: 8, leaseMs: 1_000, slackMs: 0 });
  const write = { writer: 'w', registers: [0], empties: [], client: undefined };
  checker.acknowledge(checker.invoke(write, 0), 1);
  const ending = new AbortController();
  const traffic = new Traffic(0);
  const reads: Read[] = [];
  const profiled = {
    url: '/',
    user: 'ana',
    shows: [],
    read: (body: string) => {
      const [version = '', owner] = body.split(' ');
      return { versions: [['r', Number(version)] as const], owner };
    },
  };
  const client = new Client(
    id,
    'header',
    {
      clock: () => 10_000 + performance.now(),
      checker,
      judge(each) {
        reads.push(each);
        return checker.read(each);
      },
      traffic,
      balancer: new Balancer([host]),
      readers: [new CompiledReader(profiled, new Map([['r', 0]]))],
      writes: { nextRequest: () => undefined } as never,
      readPace: {
        turn: () => {
          if (count >= times) ending.abort();
        },
      } as never,
      signal: ending.signal,
      proof: () => ({}),
      stalenessOf: () => new Staleness(),
      onFailure: (_host, _from, atMs, what) => checker.report('unavailable', what, atMs),
    },
    createRandom(1),
  );
  await client.run();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  return { reads, violations: checker.violations, traffic };
}

const HIT = { 'cache-status': 'vazao; hit', 'vazao-position': 'p' };

/** Answers as a server does whose row has version 1, to all who hold it with 304. */
const honest: Respond = (request, response) => {
  const head = { ...HIT, etag: '"1"' };
  if (request.headers['if-none-match'] === '"1"') response.writeHead(304, head).end();
  else response.writeHead(200, head).end('1 ana');
};

test('a client that asks conditionally is told by 304 what it has, and that is judged like any answer', async () => {
  const { reads, violations, traffic } = await read(5, 0, honest);
  assert.deepEqual(violations, []);
  assert.equal(traffic.notModified, 4);
  assert.deepEqual(
    reads.map(({ shown, owner, status }) => [shown, owner, status]),
    [[[0, 1], 'ana', 'vazao; hit'], ...Array.from({ length: 4 }, () => [[0, 1], 'ana', '304; vazao; hit'])],
  );
});

test('others ask for the whole of it each time', async () => {
  const { reads, traffic } = await read(5, 1, honest);
  assert.equal(traffic.notModified, 0);
  assert.equal(reads.length, 5);
});

test('304 for what is out of date, or for what was not asked about, is wrong', async () => {
  const old = await read(2, 0, (request, response) => {
    if (request.headers['if-none-match']) response.writeHead(304, { ...HIT, etag: '"0"' }).end();
    else response.writeHead(200, { ...HIT, etag: '"0"' }).end('0');
  });
  assert.deepEqual(
    old.violations.map(({ kind, read }) => [kind, read?.status]),
    [
      ['stale', 'vazao; hit'],
      ['stale', '304; vazao; hit'],
    ],
  );
  const other = await read(2, 0, (_request, response, count) => {
    if (count > 0) response.writeHead(304, { ...HIT, etag: '"2"' }).end();
    else response.writeHead(200, { ...HIT, etag: '"1"' }).end('1');
  });
  assert.deepEqual(
    other.violations.map(({ kind }) => kind),
    ['invented'],
  );
});

test("an answer that may be out of date may not be somebody else's, nor what nobody wrote", async () => {
  const stale = { 'cache-status': 'vazao; hit; detail="stale-if-error"' };
  const bodies = ['0 ana', '0 bia', '2 ana'];
  const { violations, reads } = await read(bodies.length, 1, (_request, response, count) => {
    response.writeHead(200, stale).end(bodies[count]);
  });
  assert.deepEqual(
    violations.map(({ kind }) => kind),
    ['leak', 'invented'],
  );
  assert.equal(reads.length, 0);
});
