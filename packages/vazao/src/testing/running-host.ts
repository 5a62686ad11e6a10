/** What tests ask a host with several workers. */
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestDatabase } from './database.ts';

/** A bound, not a measure: two cores may be shared by twenty. */
const DEADLINE_MS = 90_000;

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}
export interface Question {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly agent?: Agent;
}

/** Over a connection of its own, for which the kernel chooses a worker, unless an agent holds one. */
export function ask(url: string, { method = 'GET', headers = {}, body, agent }: Question = {}): Promise<Answer> {
  return new Promise((done, fail) => {
    const sent = request(url, { method, headers, agent: agent ?? false, timeout: DEADLINE_MS }, (response) => {
      let text = '';
      response.on('data', (data) => {
        text += data;
      });
      response.on('error', fail);
      response.on('end', () => done({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
    });
    sent.on('error', fail);
    sent.end(body);
  });
}

export interface Health {
  readonly status: string;
  readonly workers: {
    readonly pid: number;
    readonly alive: number;
    readonly wanted: number;
    readonly waiting_for?: string;
  };
}

/** Asks one worker: connections are opened until it gets one. */
export async function askWorker(url: string, pid: number, path: string, question: Question = {}): Promise<Answer> {
  let answer: Answer | undefined;
  await until(async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      const { workers } = JSON.parse((await ask(`${url}/health`, { agent })).body) as Health;
      if (workers.pid === pid) answer = await ask(url + path, { ...question, agent });
    } finally {
      agent.destroy();
    }
    return answer !== undefined;
  }, `worker ${pid} gets a connection`);
  return answer as Answer;
}

/** The process ids of all workers, as soon as there are so many. */
export async function findWorkers(url: string, count: number): Promise<number[]> {
  const pids = new Set<number>();
  await until(async () => {
    const { workers } = JSON.parse((await ask(`${url}/health`)).body) as Health;
    if (workers.alive !== count) pids.clear();
    else pids.add(workers.pid);
    for (const pid of pids) if (!isAlive(pid)) pids.delete(pid);
    return pids.size === count;
  }, `${count} workers answer`);
  return [...pids];
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export async function listSlots({ pool, name }: TestDatabase): Promise<string[]> {
  const { rows } = await pool.query('select slot_name from pg_replication_slots where database = $1', [name]);
  return rows.map(({ slot_name }) => slot_name);
}

/** Until a request is in the middle of its statement. */
export async function untilSleeping({ pool }: TestDatabase): Promise<void> {
  await until(async () => {
    const { rows } = await pool.query(
      `select from pg_stat_activity where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()`,
    );
    return rows.length > 0;
  }, 'a request is under way');
}

/** Tries again until it holds; what it throws, as while a worker is being replaced, counts as "not yet". */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  let failure: unknown;
  for (;;) {
    try {
      if (await condition()) return;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      failure = error;
    }
    assert.ok(performance.now() < deadline, `in time: ${what} ${failure ?? ''}`);
    await delay(10);
  }
}
