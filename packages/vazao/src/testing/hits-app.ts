/** An application with answers of many kinds, and clients that keep their connections, for tests of how hits are answered. */
import type { ServerOptions } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyServerOptions } from 'fastify';
import { ownListener } from '../http/own-listeners.ts';
import { cached, createPatientSetting, type Setting, until } from './cached-app.ts';
import { open, parseAnswers } from './raw-http.ts';

const LONG = 'doação '.repeat(2_000);

interface Options {
  /** `Node`: each request goes through its parser, as on a server that counts the requests of a connection. */
  readonly by: 'text' | 'Node';
  readonly plugin?: Parameters<typeof createPatientSetting>[0];
  readonly register?: (setting: Setting) => void | Promise<void>;
}

export type Started = Setting & { readonly origin: string; readonly parsed: () => number };

export async function startHits({ by, plugin = {}, register = () => {} }: Options): Promise<Started> {
  const setting = await createPatientSetting(
    by === 'Node' ? { ...plugin, fastify: { maxRequestsPerSocket: 1_000_000 } } : plugin,
  );
  const { app, read } = setting;
  await register(setting);
  app.get('/short', cached, async () => ({ nome: await read() }));
  app.get('/long', cached, async (_request, reply) => reply.type('text/plain').send(`${await read()} ${LONG}`));
  app.get('/fixed', { config: { cache: true, compress: false } }, async (_request, reply) =>
    reply.type('text/plain').send(`${await read()} ${LONG}`),
  );
  app.get('/missing', cached, async (_request, reply) => reply.code(404).send({ nome: await read() }));
  app.get('/nothing', cached, async (_request, reply) => reply.code(204).send(void (await read())));
  app.get('/varied', cached, async ({ headers }) => `${await read()} ${headers['x-who']}`);
  app.get('/me', cached, async ({ user }) => `${await read()} ${user?.id}`);
  app.all('/echo', async ({ method, url, body }) => ({ method, url, body }));
  app.get('/later', async () => delay(3, 'later'));
  app.post('/rename', async ({ body }) => {
    await setting.platform.db.query('update itens set nome = $1 where id = 1', [(body as { nome: string }).nome]);
    return 'renamed';
  });
  const origin = await setting.platform.listen();
  let parsed = 0;
  app.server.prependListener(
    'request',
    ownListener(() => parsed++),
  );
  return Object.assign(setting, { origin, parsed: () => parsed });
}

/** For Node's server. */
export const byHttp = (http: ServerOptions): FastifyServerOptions => ({ http }) as FastifyServerOptions;
export const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

/** What differs from one answer to another: the time, how far the feed is, tokens with a nonce. */
export function comparable(bytes: string): string {
  return bytes
    .replaceAll(/^date: .*$/gim, 'date')
    .replaceAll(/^vazao-position: .*$/gim, 'position')
    .replaceAll(/^cache-status: (vazao; hit|[^\r]*).*$/gim, 'cache-status: $1')
    .replaceAll(/^(keep-alive: timeout=\d+), max=\d+/gim, '$1');
}

export class Client {
  readonly #socket: Socket;
  #bytes = '';
  isClosed = false;

  constructor(origin: string) {
    this.#socket = open(origin);
    this.#socket.setEncoding('latin1').on('data', (text: string) => {
      this.#bytes += text;
    });
    this.#socket
      .on('error', () => {})
      .on('close', () => {
        this.isClosed = true;
      });
  }

  get bytes(): string {
    return this.#bytes;
  }

  send(bytes: string): void {
    this.#socket.write(bytes, 'latin1');
  }

  /** The bytes of the next answer. */
  async ask(bytes: string): Promise<string> {
    const before = this.#bytes.length;
    this.send(bytes);
    const isWhole = (answer: string): boolean =>
      bytes.startsWith('HEAD') ? answer.endsWith('\r\n\r\n') : parseAnswers(answer).answers.length > 0;
    await until('an answer', () => isWhole(this.#bytes.slice(before)) || this.isClosed);
    return this.#bytes.slice(before);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  leave(how: 'end' | 'resetAndDestroy'): void {
    this.#socket[how]();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
