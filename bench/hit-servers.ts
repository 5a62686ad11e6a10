/** The servers that `bench/hit.ts` compares with ours: `bare` and `uncached`. Each in a process of its own. */
import { createServer } from 'node:http';
import Fastify from 'fastify';
import pg from 'pg';
import conectades from '../apps/conectades/src/app.ts';

const [kind, port, argument] = process.argv.slice(2) as [string, string, string];

if (kind === 'bare') {
  // The same bytes: the fields and the body of an answer of ours.
  const { fields, body } = JSON.parse(argument) as { fields: string[]; body: string };
  const bytes = Buffer.from(body);
  createServer((_request, response) => {
    response.writeHead(200, fields);
    response.end(bytes);
  }).listen(Number(port), '127.0.0.1', () => process.send?.('ready'));
} else {
  const db = new pg.Pool({ connectionString: argument, max: 10 });
  const app = Fastify({ logger: false });
  app.decorateRequest('user', undefined);
  await conectades.register(app, { db, environment: 'development', secret: 'a secret of thirty-two characters' });
  await app.listen({ host: '127.0.0.1', port: Number(port) });
  process.send?.('ready');
}
