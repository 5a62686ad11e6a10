/** What several threads, steps or phases have seen, added up. */
import type { Counts, ErrorCounts, ErrorKind, Figures } from '../run-result.ts';
import { addEncoded, createHistogram, encodeHistogram, type Histogram, summarize } from './histogram.ts';
import type { Cell } from './messages.ts';

export const ERROR_KINDS: readonly ErrorKind[] = ['timeout', 'connect', 'reset', 'malformed', 'status', 'check'];
const COUNTED = [
  'offered',
  'sent',
  'unsent',
  'completed',
  'succeeded',
  'bytesReceived',
  'cacheHits',
  'cacheMisses',
] as const;

export function addCounts(parts: readonly Counts[]): Counts {
  const sum = (pick: (counts: Counts) => number): number => parts.reduce((all, part) => all + pick(part), 0);
  const counted = Object.fromEntries(COUNTED.map((name) => [name, sum((part) => part[name])]));
  const errors = Object.fromEntries(ERROR_KINDS.map((kind) => [kind, sum((part) => part.errors[kind])]));
  return { ...(counted as unknown as Omit<Counts, 'errors'>), errors: errors as unknown as ErrorCounts };
}

export class Merged {
  readonly #latency: Histogram = createHistogram();
  readonly #service: Histogram = createHistogram();
  readonly #parts: Counts[] = [];
  #queries = 0;
  #queriesToldBy = 0;

  /** Cells of threads. */
  static of(cells: readonly Cell[]): Merged {
    const merged = new Merged();
    for (const cell of cells) {
      addEncoded(merged.#latency, cell.latency);
      addEncoded(merged.#service, cell.service);
      merged.#parts.push(cell);
      merged.#queries += cell.queries[0];
      merged.#queriesToldBy += cell.queries[1];
    }
    return merged;
  }

  figures(durationS: number): Figures {
    const counts = addCounts(this.#parts);
    return {
      ...counts,
      durationS,
      throughput: durationS > 0 ? counts.succeeded / durationS : 0,
      latency: summarize(this.#latency),
      histogram: encodeHistogram(this.#latency),
      service: summarize(this.#service),
      serviceHistogram: encodeHistogram(this.#service),
      ...(this.#queriesToldBy > 0 && { queriesPerRequest: this.#queries / this.#queriesToldBy }),
    };
  }
}
