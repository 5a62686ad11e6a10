/** The oracle is Node's own `writeHead`: to the byte, but for the time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { prepareHead, writePreparedHead } from './prepared-head.ts';

const BODY = 'x'.repeat(7);
const FIELDS = ['content-type', 'text/plain; charset=utf-8', 'etag', '"é"', 'set-cookie', 'a=1', 'set-cookie', 'b=2'];
const LENGTH = ['content-length', String(BODY.length)];
const LAST = ['cache-status', 'vazao; hit'];

type Write = (response: ServerResponse, status: number, head: readonly string[]) => void;

/** With the length last: the order of fields means nothing, and there it stands in a prepared head. */
const byNode: Write = (response, status, head) => {
  const at = head.indexOf('content-length');
  const length = at < 0 ? [] : head.slice(at, at + 2);
  response.writeHead(status, [
    ...head.slice(0, at < 0 ? undefined : at),
    ...(at < 0 ? [] : head.slice(at + 2)),
    ...length,
  ]);
};
const prepared: Write = (response, status, head) => {
  const { length } = head;
  assert.equal(writePreparedHead(response, status, prepareHead(status, head), head[length - 1] as string), true);
};

interface Case {
  readonly name: string;
  readonly status?: number;
  readonly head?: readonly string[];
  readonly request?: string;
  readonly bounds?: Partial<Server>;
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n';
const CASES: readonly Case[] = [
  { name: 'a body' },
  { name: 'a connection that stays, asked twice', request: `${GET}\r\n${GET}Connection: close\r\n` },
  { name: 'HEAD', request: 'HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n' },
  { name: 'HTTP/1.0', request: 'GET / HTTP/1.0\r\n' },
  { name: 'HTTP/1.0 that asks to stay', request: 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n' },
  { name: 'no body', status: 204, head: [...FIELDS, ...LAST] },
  { name: 'not modified', status: 304, head: [...FIELDS, ...LAST] },
  { name: 'a status that has no name', status: 299 },
  { name: 'a length that is not told', head: [...FIELDS, ...LAST] },
  { name: 'no fields', head: [...LENGTH, ...LAST] },
  { name: 'the last request of a connection', bounds: { maxRequestsPerSocket: 1 } },
  {
    name: 'a connection for many requests',
    request: `${GET}\r\n${GET}\r\n${GET}`,
    bounds: { maxRequestsPerSocket: 3 },
  },
  { name: 'no time-out between requests', bounds: { keepAliveTimeout: 0 } },
];

describe('a prepared head', () => {
  let server: Server;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;

  before(async () => {
    server = createServer((request, response) => answer(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  /** All that the server sends until it closes the connection, without the times. */
  const talk = async (request: string): Promise<string> => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.end(`${request}\r\n`, 'latin1');
    socket.setEncoding('latin1');
    return (await text(socket)).replaceAll(/Date: [^\r]*/g, 'Date: …');
  };

  for (const { name, status = 200, head = [...FIELDS, ...LENGTH, ...LAST], request = GET, bounds = {} } of CASES)
    test(`is as Node writes it: ${name}`, async () => {
      const { maxRequestsPerSocket, keepAliveTimeout } = server;
      Object.assign(server, bounds);
      const told: string[] = [];
      for (const write of [byNode, prepared]) {
        answer = (asked, response) => {
          write(response, status, head);
          assert.equal(response.headersSent, true);
          if (status === 204 || status === 304 || asked.method === 'HEAD') response.end();
          else response.end(BODY, 'latin1');
        };
        told.push(await talk(request));
      }
      Object.assign(server, { maxRequestsPerSocket, keepAliveTimeout });
      assert.match(told[0] as string, /^HTTP\/1\.1 \d{3} /);
      assert.equal(told[1], told[0]);
    });

  const refused: readonly (readonly [string, string[], ((response: ServerResponse) => void)?])[] = [
    ['a line break in a value', ['x', 'a\r\nset-cookie: b', ...LAST]],
    ['a name that is none', ['x y', 'a', ...LAST]],
    ['a field that Node looks at', ['connection', 'close', ...LAST]],
    ['fields that are there already', [...LAST], (response) => void response.setHeader('server-timing', 'a')],
    ['a head that was sent', [...LAST], (response) => void response.writeHead(500)],
    [
      'a `writeHead` that is wrapped',
      [...LAST],
      (response) => void Object.assign(response, { writeHead: () => response }),
    ],
    ['a response of another kind', [...LAST], (response) => Object.assign(response, { _storeHeader: undefined })],
  ];
  for (const [name, head, begin = () => {}] of refused)
    test(`is left to Node: ${name}`, async () => {
      let isWritten: boolean | undefined;
      answer = (_request, response) => {
        begin(response);
        isWritten = writePreparedHead(response, 200, prepareHead(200, head), 'x');
        response.socket?.destroy();
      };
      await talk(GET).catch(() => {});
      assert.equal(isWritten, false);
    });
});
