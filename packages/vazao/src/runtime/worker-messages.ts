/** What a supervisor and its workers say to each other, beside the messages of the feed (`kind: 'feed'`). */
import type { Configuration } from './configuration.ts';

export type ToWorker =
  | { readonly kind: 'worker:start'; readonly assignment: Assignment }
  /** How many serve. */
  | { readonly kind: 'worker:alive'; readonly alive: number }
  /** Finish what is in flight, then end. */
  | { readonly kind: 'worker:drain' };

export type FromWorker =
  /** It listens to messages, and wants its assignment. */
  | { readonly kind: 'worker:up' }
  | { readonly kind: 'worker:ready'; readonly url: string; readonly port: number }
  /** It can't start, and ends. `code` is that of a {@link RuntimeError}. */
  | { readonly kind: 'worker:failed'; readonly code: string | undefined; readonly message: string };

export interface Assignment {
  /** Path of the application's module. */
  readonly file: string;
  /** With the worker's own share of cache and pool, and the port that all share. */
  readonly configuration: Configuration;
  readonly secret: string;
  readonly databaseUrl: string;
}
