/**
 * Servers whose behaviour is known, each in a process of its own: `node bench/lab/server.ts <kind>`. Prints its port.
 *
 *   raw       answers at once, 500 bytes, on bare sockets: costs less than the generator
 *   delay     20 ms, every fiftieth request 100 ms; ten times as long when the second word is 10
 *   stall     at once, but for 200 ms every 10 s, in which nothing is answered
 *   capacity  one after the other, as many per second as the second word says
 *   clean, leak, slower   keep nothing; 1 KB for each request; answer 1 ms later with each 1,000 requests
 */
import { createServer } from 'node:http';
import { createServer as createTcpServer, type Server } from 'node:net';

const [kind = '', word] = process.argv.slice(2);
const BACKLOG = 8_192;
const STALL_MS = 200;
const STALL_EVERY_MS = 10_000;

const server = kind === 'raw' ? createRaw() : createServer(createHandler(kind, Number(word)));
server.listen({ port: 0, host: '127.0.0.1', backlog: BACKLOG }, () => {
  const address = server.address();
  process.stdout.write(`${typeof address === 'object' ? address?.port : ''}\n`);
});

function createRaw(): Server {
  const body = 'x'.repeat(500);
  const answer = Buffer.from(
    `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 22 Nov 2026 09:00:00 GMT\r\nETag: "abcdefgh"\r\nCache-Status: vazao; hit; detail="lag=0.2ms"\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  return createTcpServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.on('data', () => socket.write(answer));
  });
}

function createHandler(name: string, number: number): Parameters<typeof createServer>[1] & {} {
  const kept: unknown[] = [];
  let count = 0;
  let freeAt = 0;
  const startedAt = performance.now();
  return (request, response) => {
    if (request.url === '/health') {
      response.writeHead(404).end();
      return;
    }
    count += 1;
    const end = (): void => {
      response.end('hello');
    };
    const after = (ms: number): void => {
      if (ms <= 0) end();
      else setTimeout(end, ms);
    };
    if (name === 'delay') after((count % 50 === 0 ? 100 : 20) * (number || 1));
    else if (name === 'stall') {
      const into = (performance.now() - startedAt) % STALL_EVERY_MS;
      after(into < STALL_MS ? STALL_MS - into : 0);
    } else if (name === 'capacity') {
      freeAt = Math.max(performance.now(), freeAt) + 1_000 / number;
      after(freeAt - performance.now());
    } else {
      if (name === 'leak') kept.push(Buffer.alloc(1_000, 'x').toString('latin1'), count);
      after(name === 'slower' ? 5 + count / 1_000 : 5);
    }
  };
}
