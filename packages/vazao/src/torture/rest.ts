/** (f): when all has come to rest, every worker answers every URL, for every user, as the application does without a cache. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Checker } from './checker.ts';
import type { CompiledReader } from './compiled-reader.ts';
import { Connection, ConnectionError, writeRequest } from './connection.ts';
import { TortureError } from './errors.ts';
import type { Host } from './host.ts';
import type { Reference } from './reference.ts';

export interface RestOptions {
  readonly checker: Checker;
  readonly hosts: readonly Host[];
  readonly readers: readonly CompiledReader[];
  readonly users: readonly (string | undefined)[];
  readonly proof: (user: string | undefined) => Readonly<Record<string, string>>;
  readonly reference: Reference;
  readonly clock: () => number;
}

export interface RestFigures {
  /** Processes that were asked. */
  readonly workers: number;
  /** Answers that were compared. */
  readonly answers: number;
}

const TIMEOUT_MS = 10_000;
const REST_TIMEOUT_MS = 60_000;
const PAUSE_MS = 100;
/** The kernel chooses the worker of a connection; after so many, some worker does not accept any. */
const CONNECTIONS_MAX = 400;
/** The first answer may be computed, the next are from the cache. */
const LOOKS = 2;
const SHOWN_CHARACTERS_MAX = 300;

export async function compareAtRest(options: RestOptions): Promise<RestFigures> {
  const { checker, readers, users, proof, reference, clock, hosts } = options;
  const expected = new Map<string, { readonly status: number; readonly body: string }>();
  const urls = [...new Set(readers.map(({ url }) => url))];
  for (const url of urls) {
    for (const user of users) expected.set(`${url} ${user}`, await reference.get(url, proof(user)));
  }
  for (const reader of readers) {
    const answer = expected.get(`${reader.url} ${reader.user}`);
    if (answer?.status === 200) {
      checker.compare(reader.understand(Buffer.from(answer.body)).shown, reader.url, clock());
    } else {
      checker.report(
        'lost',
        `At rest the application answers ${reader.url} with ${answer?.status}: ${answer?.body}`,
        clock(),
      );
    }
  }
  let workers = 0;
  let answers = 0;
  for (const host of hosts) {
    const connections = await connectToEachWorker(host);
    for (const [pid, connection] of connections) {
      workers++;
      for (let look = 0; look < LOOKS; look++) {
        for (const [name, wanted] of expected) {
          const [url = '', user] = name.split(' ');
          const text = writeRequest('GET', url, proof(user === 'undefined' ? undefined : user));
          const { status, body } = await connection.ask(text, TIMEOUT_MS);
          answers++;
          const got = body.toString('utf8');
          if (status === wanted.status && got === wanted.body) continue;
          const what = `At rest worker ${pid} of ${host.name} answers ${url} (${user}) with ${status} ${shorten(got)}, and without a cache it is ${wanted.status} ${shorten(wanted.body)}`;
          checker.report('differs', what, clock());
        }
      }
      connection.close();
    }
  }
  return { workers, answers };
}

/** One connection to each process of the host, by its id, when all of them follow the database again. */
async function connectToEachWorker(host: Host): Promise<Map<number, Connection>> {
  const deadline = performance.now() + REST_TIMEOUT_MS;
  const wanted = new Set(host.workers.length > 0 ? host.workers : [host.pid ?? 0]);
  const found = new Map<number, Connection>();
  for (let tries = 0; found.size < wanted.size; tries++) {
    const connection = new Connection(host.port);
    const health = await askHealth(connection);
    const pid = health?.workers?.pid ?? host.pid ?? 0;
    if (health?.feed.fresh && wanted.has(pid) && !found.has(pid)) found.set(pid, connection);
    else connection.close();
    if (!health?.feed.fresh) await delay(PAUSE_MS);
    if (tries < CONNECTIONS_MAX && performance.now() < deadline) continue;
    throw new TortureError(
      'ERR_TORTURE_END',
      `${host.name} has not come to rest: of its processes ${[...wanted].join(', ')} only ${[...found.keys()].join(', ') || 'none'} answer with a fresh feed. Its log is ${host.logFile}.`,
    );
  }
  return found;
}

interface Health {
  readonly feed: { readonly fresh: boolean };
  readonly workers?: { readonly pid: number };
}

async function askHealth(connection: Connection): Promise<Health | undefined> {
  try {
    const { body } = await connection.ask(writeRequest('GET', '/health', {}), TIMEOUT_MS);
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    if (error instanceof ConnectionError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function shorten(text: string): string {
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}
