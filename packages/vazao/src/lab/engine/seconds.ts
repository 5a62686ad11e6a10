/** Seconds of the threads, put together when all have told theirs. */
import type { SecondFigures, ServerSample } from '../run-result.ts';
import { addEncoded, createHistogram, summarize } from './histogram.ts';
import { addCounts } from './merged.ts';
import type { ThreadSecond } from './messages.ts';

export class SecondCollector {
  readonly #threads: number;
  readonly #onComplete: (parts: readonly ThreadSecond[]) => void;
  readonly #seconds = new Map<number, ThreadSecond[]>();

  constructor(threads: number, onComplete: (parts: readonly ThreadSecond[]) => void) {
    this.#threads = threads;
    this.#onComplete = onComplete;
  }

  add(second: ThreadSecond): void {
    const parts = this.#seconds.get(second.atS) ?? [];
    parts.push(second);
    this.#seconds.set(second.atS, parts);
    if (parts.length < this.#threads) return;
    this.#seconds.delete(second.atS);
    this.#onComplete(parts);
  }

  /** A thread that had its last answer earlier has no more seconds. */
  end(): void {
    const left = [...this.#seconds.entries()].sort(([a], [b]) => a - b);
    for (const [, parts] of left) this.#onComplete(parts);
    this.#seconds.clear();
  }
}

export function mergeSeconds(
  parts: readonly ThreadSecond[],
  phase: string,
): { readonly second: SecondFigures; readonly said: ServerSample } {
  const sum = (pick: (part: ThreadSecond) => number): number => parts.reduce((all, part) => all + pick(part), 0);
  const latency = createHistogram();
  for (const part of parts) addEncoded(latency, part.latency);
  const counts = addCounts(parts);
  const users = sum((part) => part.users);
  const atS = parts[0]?.atS ?? 0;
  const told = counts.cacheHits + counts.cacheMisses;
  const queriesToldBy = sum(({ queries }) => queries[1]);
  const stages: Record<string, number> = {};
  for (const name of new Set(parts.flatMap((part) => Object.keys(part.stages)))) {
    const count = sum((part) => part.stages[name]?.[1] ?? 0);
    stages[name] = sum((part) => part.stages[name]?.[0] ?? 0) / count;
  }
  return {
    second: {
      ...counts,
      atS,
      phase,
      latency: summarize(latency),
      inFlight: sum(({ inFlight }) => inFlight),
      waiting: sum(({ waiting }) => waiting),
      ...(users > 0 && { users }),
    },
    said: {
      atS,
      ...(told > 0 && { hitRate: counts.cacheHits / told }),
      ...(queriesToldBy > 0 && { queriesPerRequest: sum(({ queries }) => queries[0]) / queriesToldBy }),
      ...(Object.keys(stages).length > 0 && { stages }),
    },
  };
}
