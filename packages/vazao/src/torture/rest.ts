/**
 * (f): when all has come to rest, every worker answers every URL, for every user, as the application does without a cache.
 *
 * A worker that has an answer in its own memory does not look into Redis. So one host is then started anew, while Redis keeps
 * what it holds: it has nothing of its own, and answers with what all hosts have left there. The other one goes on relaying, so
 * that what Redis holds stays good. That takes a start of a host; to read Redis from here would take none, and would judge
 * answers that nobody is given, by rules of our own for which of them still count.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { SECOND_TIER_STATUS } from '../http/cache-status.ts';
import type { Checker } from './checker.ts';
import type { CompiledReader } from './compiled-reader.ts';
import { Connection, ConnectionError, findField, writeRequest } from './connection.ts';
import { TortureError } from './errors.ts';
import type { Host } from './host.ts';
import type { Reference } from './reference.ts';

export interface RestOptions {
  readonly checker: Checker;
  readonly hosts: readonly RestingHost[];
  readonly readers: readonly CompiledReader[];
  readonly users: readonly (string | undefined)[];
  readonly proof: (user: string | undefined) => Readonly<Record<string, string>>;
  readonly reference: Pick<Reference, 'get'>;
  readonly clock: () => number;
  /** Added to the environment of the host that is started anew. */
  readonly environment: Readonly<Record<string, string>>;
}

export type RestingHost = Pick<Host, 'name' | 'port' | 'pid' | 'workers' | 'logFile' | 'stop' | 'start'>;

export interface RestFigures {
  /** Processes that were asked. */
  readonly workers: number;
  /** Answers that were compared. */
  readonly answers: number;
  /** Of them: found in the second tier. */
  readonly fromRedis: number;
}

/** What is asked for, and its answer without a cache. */
interface Expected {
  readonly url: string;
  readonly user: string | undefined;
  readonly status: number;
  readonly body: string;
}

const TIMEOUT_MS = 10_000;
/** A worker may be starting: it was killed, or its host was started anew, and another one answers for the host. */
const REST_TIMEOUT_MS = 60_000;
/** The kernel chooses the worker of a connection: of two, every other one is in vain. */
const PAUSE_MS = 20;
/** The first answer may be computed, the next are from the cache. */
const LOOKS = 2;
const SHOWN_CHARACTERS_MAX = 300;

export async function compareAtRest(options: RestOptions): Promise<RestFigures> {
  const expected = await askReference(options);
  compareDatabase(expected, options);
  const asked: RestFigures[] = [];
  let sharing: RestingHost | undefined;
  for (const host of options.hosts) {
    const workers = await connectToEachWorker(host, isFresh);
    if (workers.every(({ health }) => isSharing(health))) sharing = host;
    asked.push(await compareWorkers(host, workers, LOOKS, expected, options));
  }
  if (sharing) {
    await sharing.stop();
    await sharing.start(options.environment);
    const workers = await connectToEachWorker(sharing, isSharing);
    asked.push(await compareWorkers(sharing, workers, 1, expected, options));
  }
  const sum = (name: keyof RestFigures): number => asked.reduce((total, figures) => total + figures[name], 0);
  return { workers: sum('workers'), answers: sum('answers'), fromRedis: sum('fromRedis') };
}

async function askReference({ readers, users, proof, reference }: RestOptions): Promise<readonly Expected[]> {
  const expected: Expected[] = [];
  for (const url of new Set(readers.map((reader) => reader.url))) {
    for (const user of users) expected.push({ url, user, ...(await reference.get(url, proof(user))) });
  }
  return expected;
}

/** (e): the database has what was acknowledged. */
function compareDatabase(expected: readonly Expected[], { checker, readers, clock }: RestOptions): void {
  for (const reader of readers) {
    const { url } = reader;
    const answer = expected.find((each) => each.url === url && each.user === reader.user);
    if (answer?.status === 200) {
      checker.compare(reader.understand(Buffer.from(answer.body)).shown, url, clock());
    } else {
      checker.report('lost', `At rest the application answers ${url} with ${answer?.status}: ${answer?.body}`, clock());
    }
  }
}

/** Asks each for everything, so many times, and closes its connection. */
async function compareWorkers(
  host: RestingHost,
  workers: readonly FoundWorker[],
  looks: number,
  expected: readonly Expected[],
  { checker, proof, clock }: RestOptions,
): Promise<RestFigures> {
  let fromRedis = 0;
  for (const { pid, connection } of workers) {
    for (const wanted of Array.from({ length: looks }, () => expected).flat()) {
      const { url, user } = wanted;
      const { status, head, body } = await connection.ask(writeRequest('GET', url, proof(user)), TIMEOUT_MS);
      const isFromRedis = findField(head, 'cache-status') === SECOND_TIER_STATUS;
      if (isFromRedis) fromRedis++;
      const got = body.toString('utf8');
      if (status === wanted.status && got === wanted.body) continue;
      const where = isFromRedis ? 'from Redis ' : '';
      const what = `At rest worker ${pid} of ${host.name} answers ${url} (${user}) ${where}with ${status} ${shorten(got)}, and without a cache it is ${wanted.status} ${shorten(wanted.body)}`;
      checker.report('differs', what, clock());
    }
    connection.close();
  }
  return { workers: workers.length, answers: workers.length * looks * expected.length, fromRedis };
}

interface FoundWorker {
  readonly pid: number;
  readonly connection: Connection;
  readonly health: Health;
}

/** One connection to each process of the host, when all of them are ready: they follow the database again. */
async function connectToEachWorker(
  host: RestingHost,
  isReady: (health: Health) => boolean,
): Promise<readonly FoundWorker[]> {
  const deadline = performance.now() + REST_TIMEOUT_MS;
  const wanted = new Set(host.workers.length > 0 ? host.workers : [host.pid ?? 0]);
  const found = new Map<number, FoundWorker>();
  while (found.size < wanted.size) {
    const connection = new Connection(host.port);
    const health = await askHealth(connection);
    const pid = health?.workers?.pid ?? host.pid ?? 0;
    if (health && isReady(health) && wanted.has(pid) && !found.has(pid)) {
      found.set(pid, { pid, connection, health });
      continue;
    }
    connection.close();
    await delay(PAUSE_MS);
    if (performance.now() < deadline) continue;
    throw new TortureError(
      'ERR_TORTURE_END',
      `${host.name} has not come to rest: of its processes ${[...wanted].join(', ')} only ${[...found.keys()].join(', ') || 'none'} answer with a fresh feed${isReady === isSharing ? ' and with Redis' : ''}. Its log is ${host.logFile}.`,
    );
  }
  return [...found.values()];
}

interface Health {
  readonly feed: { readonly fresh: boolean };
  readonly workers?: { readonly pid: number };
  readonly second_tier?: { readonly available: boolean };
}

function isFresh({ feed }: Health): boolean {
  return feed.fresh;
}

/** It takes answers from Redis, and leaves there what it computes. */
function isSharing(health: Health): boolean {
  return isFresh(health) && health.second_tier?.available === true;
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
