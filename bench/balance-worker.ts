/** A worker of `bench/balance.ts`: a bare server that counts its connections and its requests. */
import cluster from 'node:cluster';
import { createServer } from 'node:http';

const [how = '', port = '', workUs = '0'] = process.argv.slice(2);
let connections = 0;
let requests = 0;
const body = Buffer.alloc(1_000, 'x');
const server = createServer({ keepAlive: true }, (_request, response) => {
  requests++;
  const until = performance.now() + Number(workUs) / 1_000;
  while (performance.now() < until);
  response.writeHead(200, { 'content-length': String(body.length) });
  response.end(body);
});
server.on('connection', () => connections++);
const onListening = (): void => void process.send?.('ready');
if (how === 'own') server.listen({ port: Number(port), host: '127.0.0.1', reusePort: true }, onListening);
else if (how === 'fd') server.listen({ fd: 4 }, onListening);
else server.listen({ port: Number(port), host: '127.0.0.1' }, onListening);
process.on('message', (message) => {
  if (message !== 'count') return;
  process.send?.({ connections, requests });
  connections = 0;
  requests = 0;
});
process.on('disconnect', () => process.exit(cluster.isWorker ? 1 : 0));
