import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { until } from '../testing/cached-app.ts';
import { IdleConnections } from './idle-connections.ts';

const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

interface Stage extends AsyncDisposable {
  readonly idle: IdleConnections;
  /** Under way until they are ended here. */
  readonly waiting: ServerResponse[];
  /** A connection with its name, on which so much was sent and, if it was a request, answered. */
  open(name: string, text: string): Promise<Socket>;
  /** What the server has read of a connection. */
  bytesOf(client: Socket): number;
  /** Names of connections that the server has closed. */
  readonly closed: Set<string>;
}

async function createStage(): Promise<Stage> {
  const waiting: ServerResponse[] = [];
  const sockets = new Set<Socket>();
  const closed = new Set<string>();
  const clients: Socket[] = [];
  const server = createServer((request, response) => {
    if (request.url === '/slow') waiting.push(response);
    else response.end('x');
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    idle: new IdleConnections(server, sockets),
    waiting,
    closed,
    bytesOf: ({ localPort }) => [...sockets].find(({ remotePort }) => remotePort === localPort)?.bytesRead ?? 0,
    async open(name, text) {
      const before = sockets.size;
      const client = connect(port, '127.0.0.1');
      clients.push(client);
      client.on('error', () => {});
      client.on('close', () => closed.add(name));
      await once(client, 'connect');
      await until('the server has it', () => sockets.size > before);
      client.on('data', () => {});
      if (text === '') return client;
      client.write(text);
      if (text === REQUEST) await once(client, 'data');
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('closed is on what nothing is asked, and not what is under way, or has just begun', async () => {
  await using stage = await createStage();
  const { idle, closed, waiting } = stage;
  await stage.open('kept', REQUEST);
  await stage.open('silent', '');
  const slow = await stage.open('under way', REQUEST.replace('/', '/slow'));
  const begun = await stage.open('begun', REQUEST);
  await until('the slow one is there', () => waiting.length === 1);
  idle.look(1);
  assert.equal(closed.size, 0, 'at the first look nothing is known to be idle');
  begun.write(REQUEST.slice(0, 9));
  await until('it has arrived', () => stage.bytesOf(begun) === REQUEST.length + 9);
  idle.look(1);
  await until('two are closed', () => closed.size >= 2);
  assert.deepEqual([...closed].sort(), ['kept', 'silent']);
  const answers = Promise.all([slow, begun].map((client) => once(client, 'data')));
  waiting[0]?.end('late');
  begun.write(REQUEST.slice(9));
  for (const [answer] of await answers) assert.match(String(answer), /^HTTP\/1\.1 200 /);
});

test('a share of the idle ones is closed at a time', async () => {
  await using stage = await createStage();
  for (let number = 0; number < 8; number++) await stage.open(String(number), REQUEST);
  stage.idle.look(0);
  for (const left of [6, 4, 3]) {
    stage.idle.look(0.25);
    await until(`${left} are left`, () => stage.closed.size >= 8 - left);
    assert.equal(stage.closed.size, 8 - left);
  }
});
