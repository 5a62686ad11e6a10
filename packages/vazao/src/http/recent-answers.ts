/** What became of the last requests, by URL: for `vazao explain`. Kept in development only. */
import { LRUCache } from 'lru-cache';
import type { StatementRecord } from '../cache/index.ts';

const URLS_MAX = 1_000;

export interface RecentAnswer {
  /** Pattern of the route, such as `/campanhas/:id/`. */
  readonly route: string | undefined;
  /** The route says `config.cache`. */
  readonly cached: boolean;
  /** Date.now(). */
  readonly at: number;
  /** Why the answer was not kept; undefined when it was. */
  readonly notStored: { readonly code: string; readonly detail: string } | undefined;
  readonly statements: readonly StatementRecord[];
}

export class RecentAnswers {
  readonly #answers = new LRUCache<string, RecentAnswer>({ max: URLS_MAX });

  record(url: string, answer: RecentAnswer): void {
    this.#answers.set(url, answer);
  }

  find(url: string): RecentAnswer | undefined {
    return this.#answers.get(url);
  }
}
