/**
 * The place of one worker at a time, and what is made of the deaths in it.
 *
 * A death is quick when it comes soon after the start; too many quick ones in a row on one seat are a crash loop, and end
 * everything: somebody who looks after the whole should know. Not counted are those that are no fault of the application:
 * while the database could not be reached (the feed was not fresh, or the worker said so), and by somebody's SIGKILL.
 */
import { RuntimeError } from '../errors.ts';
import type { Beat } from '../worker-messages.ts';
import type { WorkerProcess } from './worker-process.ts';

/** A death within so long of the worker's start is quick. */
const QUICK_DEATH_MS = 30_000;
/** Quick deaths in a row, on one seat, that end everything. */
const QUICK_DEATHS_MAX = 5;
const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 5_000;
/** After the pause a worker starts only if the database can be reached, so a short one costs nothing. */
const RESTART_DATABASE_MAX_MS = 1_000;

/** By so much less than the requests it may answer does one worker answer, so that they are not replaced together. */
const REQUESTS_JITTER = 0.2;
/** The same of its memory. */
const RSS_JITTER = 0.05;
/** A worker that has more memory than its part is not replaced sooner than this after its start. */
const LARGE_AGE_MIN_MS = 30_000;

/** When another takes a worker's place. 0: never for that. */
export interface WorkerBounds {
  readonly requestsMax: number;
  readonly rssMaxBytes: number;
}

export interface Seat {
  serving: WorkerProcess | undefined;
  coming: WorkerProcess | undefined;
  /** Of the worker in the seat. */
  bounds: WorkerBounds;
  quickDeaths: number;
  /** Deaths in a row that were the database's. */
  databaseDeaths: number;
  restart: NodeJS.Timeout | undefined;
  isWaitingForDatabase: boolean;
  /** Recycling waits for its turn. */
  isToBeReplaced: boolean;
  replacement: PromiseWithResolvers<void> | undefined;
}

export function createSeat(): Seat {
  return {
    serving: undefined,
    coming: undefined,
    bounds: { requestsMax: 0, rssMaxBytes: 0 },
    quickDeaths: 0,
    databaseDeaths: 0,
    restart: undefined,
    isWaitingForDatabase: false,
    isToBeReplaced: false,
    replacement: undefined,
  };
}

/** Bounds of one worker: below those of all, each at another point. */
export function drawBounds({ requestsMax, rssMaxBytes }: WorkerBounds, random: () => number): WorkerBounds {
  return {
    requestsMax: Math.ceil(requestsMax * (1 - REQUESTS_JITTER * random())),
    rssMaxBytes: Math.ceil(rssMaxBytes * (1 - RSS_JITTER * random())),
  };
}

/** Which bound a worker has reached, if any. */
export function findReached(
  { requestsMax, rssMaxBytes }: WorkerBounds,
  { requests, rssBytes }: Pick<Beat, 'requests' | 'rssBytes'>,
  ageMs: number,
): 'requests' | 'memory' | undefined {
  if (rssMaxBytes > 0 && rssBytes > rssMaxBytes && ageMs > LARGE_AGE_MIN_MS) return 'memory';
  return requestsMax > 0 && requests >= requestsMax ? 'requests' : undefined;
}

interface Death {
  readonly worker: WorkerProcess;
  /** A signal, or the exit code. */
  readonly how: string;
  /** When the feed was last seen not to be fresh. */
  readonly staleAtMs: number;
  readonly random: () => number;
}

/** How long to wait before another worker is put into the seat. */
export function judgeDeath(seat: Seat, { worker, how, staleAtMs, random }: Death): number | 'crash loop' {
  const livedMs = performance.now() - worker.startedAtMs;
  if (worker.failure?.isDatabaseAway === true || staleAtMs >= worker.startedAtMs) {
    return restartMs(++seat.databaseDeaths, RESTART_DATABASE_MAX_MS, random);
  }
  // Somebody's hand, or the system that is short of memory: the worker had served, and no defect of it is known.
  const wasKilled = worker.hasServed && how === 'SIGKILL' && worker.cutOff === undefined;
  if (livedMs >= QUICK_DEATH_MS) seat.quickDeaths = 0;
  else if (!wasKilled) seat.quickDeaths++;
  if (seat.quickDeaths < QUICK_DEATHS_MAX) return restartMs(seat.quickDeaths, RESTART_MAX_MS, random);
  seat.quickDeaths = 0; // whoever goes on in spite of it begins anew
  return 'crash loop';
}

export function crashLoop(how: string): RuntimeError {
  return new RuntimeError(
    'ERR_RUNTIME_WORKERS',
    `${QUICK_DEATHS_MAX} workers in a row ended within ${QUICK_DEATH_MS / 1_000} s of their start, the last by ${how}. The lines above say why.`,
  );
}

/** Doubles from the minimum to the maximum, and between half of that and all of it, so that workers don't return together. */
function restartMs(deaths: number, maxMs: number, random: () => number): number {
  const fullMs = Math.min(maxMs, RESTART_MIN_MS * 2 ** Math.min(30, Math.max(0, deaths - 1)));
  return fullMs * (0.5 + 0.5 * random());
}
