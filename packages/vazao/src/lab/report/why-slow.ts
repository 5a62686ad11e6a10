/**
 * Where the time of a request went: what the server tells (`Server-Timing`) joined with what the client saw.
 *
 *   scheduled ──► sent ──────────────────────────────► first byte ──► end
 *       not sent yet │ stages of the server │ elsewhere │  receiving
 *
 * `elsewhere` is what neither side measured: the network, the kernel's queue, an event loop that was busy with another request.
 */
import type { RequestSample } from '../run-result.ts';
import { IN_DATABASE, QUERIES } from '../stages.ts';
import { ascending, quantileOfSorted } from '../statistics/quantile.ts';
import { showMs, showShare } from './numbers.ts';

export interface Part {
  readonly name: string;
  readonly durationMs: number;
}

export interface Share {
  readonly name: string;
  readonly share: number;
}

export interface Band {
  /** Of latency, from 0 to 1: the slowest hundredth is from 0.99 to 1. */
  readonly from: number;
  readonly to: number;
  readonly requests: number;
  readonly meanMs: number;
  /** Parts of the band's time, greatest first; they add up to 1. */
  readonly shares: readonly Share[];
  /** The statements' parts of {@link QUERIES}, greatest first; empty where the server names none. */
  readonly statements: readonly Share[];
  /** `the slowest 1 % spend 84 % waiting for a connection from the pool`. */
  readonly sentence: string;
}

const BANDS = [0, 0.5, 0.9, 0.99, 1] as const;
export const UNSENT = 'not sent yet';
export const ELSEWHERE = 'elsewhere';
export const RECEIVING = 'receiving';

/** What a request does in a stage, after "spend … %". Stages that are not here stand under their own name. */
const DOING: Readonly<Record<string, string>> = {
  [UNSENT]: 'waiting for a free connection of the client',
  [ELSEWHERE]: 'outside all measured stages (network, the queue of the kernel, a busy event loop)',
  [RECEIVING]: 'receiving the answer',
  pool: 'waiting for a connection from the pool',
  queue: 'waiting to be admitted',
  feed: 'waiting for the feed',
  cache: 'looking up the cache',
  db: 'in the database',
  [QUERIES]: 'in the database',
  handler: 'in the handler',
  hooks: 'in hooks before the handler',
  serialise: 'serialising the answer',
  compress: 'compressing the answer',
};
/** Sums of the others: to count them would count twice. */
const SUMS = new Set(['total', 'app']);
/** The stage that is around {@link IN_DATABASE}: its own time is what is left. */
const AROUND_DATABASE = 'handler';

/** The parts of one request, in order; they add up to its latency. A waterfall draws them one after the other. */
export function partsOf({ latencyMs, serviceMs, firstByteMs, stages = {} }: RequestSample): Part[] {
  const measured = new Map<string, number>();
  for (const [name, ms] of Object.entries(stages)) if (!SUMS.has(name) && ms > 0) measured.set(name, ms);
  for (const inner of IN_DATABASE) {
    const [own, around] = [measured.get(inner), measured.get(AROUND_DATABASE)];
    if (own === undefined || around === undefined) continue;
    // Statements may run side by side: together they last no longer than what is around them.
    measured.set(inner, Math.min(own, around));
    measured.set(AROUND_DATABASE, Math.max(0, around - own));
  }
  const receiving = firstByteMs === undefined ? 0 : Math.max(0, serviceMs - firstByteMs);
  const before = serviceMs - receiving;
  const told = [...measured.values()].reduce((sum, ms) => sum + ms, 0);
  // Clocks of two processes: what the server tells is cut to what the client saw.
  const scale = told > before && told > 0 ? before / told : 1;
  return [
    { name: UNSENT, durationMs: Math.max(0, latencyMs - serviceMs) },
    ...[...measured].map(([name, ms]) => ({ name, durationMs: ms * scale })),
    { name: ELSEWHERE, durationMs: Math.max(0, before - told * scale) },
    { name: RECEIVING, durationMs: receiving },
  ].filter(({ durationMs }) => durationMs > 0);
}

/**
 * Bands of latency and where each spends its time. Samples have to be a fair draw of all requests; bands with fewer than ten are
 * left out.
 */
export function explainLatency(samples: readonly RequestSample[]): Band[] {
  const sorted = ascending(samples.map(({ latencyMs }) => latencyMs));
  const bands: Band[] = [];
  for (let index = 0; index + 1 < BANDS.length; index++) {
    const [from, to] = [BANDS[index] as number, BANDS[index + 1] as number];
    const [low, high] = [quantileOfSorted(sorted, from), quantileOfSorted(sorted, to)];
    const inside = samples.filter(({ latencyMs }) => latencyMs >= low && (to === 1 || latencyMs < high));
    if (inside.length < 10) continue;
    const shares = sharesOf(inside.flatMap(partsOf), 1);
    const statements = sharesOf(inside.flatMap(statementsOf), shares.find(({ name }) => name === QUERIES)?.share ?? 0);
    const meanMs = inside.reduce((sum, { latencyMs }) => sum + latencyMs, 0) / inside.length;
    const sentence = say(from, to, meanMs, shares, statements[0]);
    bands.push({ from, to, requests: inside.length, meanMs, shares, statements, sentence });
  }
  return bands;
}

/** Parts of the same name together, greatest first; they add up to `whole`. */
function sharesOf(parts: readonly Part[], whole: number): Share[] {
  const sums = new Map<string, number>();
  for (const { name, durationMs } of parts) sums.set(name, (sums.get(name) ?? 0) + durationMs);
  const all = [...sums.values()].reduce((sum, ms) => sum + ms, 0);
  return [...sums]
    .map(([name, ms]) => ({ name, share: all > 0 ? (ms / all) * whole : 0 }))
    .sort((a, b) => b.share - a.share);
}

/** The statements of one request, longest first. Those side by side last as long as they do, and not as long as all of them. */
export function statementsOf({ statements = {} }: RequestSample): Part[] {
  return Object.entries(statements)
    .map(([name, durationMs]) => ({ name, durationMs }))
    .sort((a, b) => b.durationMs - a.durationMs);
}

function say(from: number, to: number, meanMs: number, shares: readonly Share[], statement: Share | undefined): string {
  const most = statement === undefined ? '' : ` (${showShare(statement.share)} in ${statement.name})`;
  const who =
    to === 1
      ? `the slowest ${showShare(1 - from)}`
      : from === 0
        ? `the fastest ${showShare(to)}`
        : `from ${showShare(from)} to ${showShare(to)}, requests`;
  const parts = shares
    .filter(({ share }, index) => index === 0 || (index < 3 && share >= 0.1))
    .map(({ name, share }) => `${showShare(share)} ${DOING[name] ?? `in ${name}`}${name === QUERIES ? most : ''}`);
  return `${who} (${showMs(meanMs)} on average) spend ${parts.join(', ')}`;
}
