/** A `node:http` server that answers one path with the fields and bytes of an answer of ours: `node bare.ts PORT`, the answers on standard input. */
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';

interface Answer {
  readonly path: string;
  readonly status: number;
  readonly fields: string[];
  /** Base64. */
  readonly body: string;
}

const answers = (await json(process.stdin)) as Answer[];
const byPath = new Map(
  answers.map(({ path, body, ...head }) => [path, { ...head, body: Buffer.from(body, 'base64') }]),
);
createServer((request, response) => {
  const answer = byPath.get(request.url as string);
  if (!answer) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(answer.status, answer.fields);
  response.end(answer.body);
}).listen(Number(process.argv[2]), '127.0.0.1');
