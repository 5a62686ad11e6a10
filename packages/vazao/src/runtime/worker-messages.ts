/** What a supervisor and its workers say to each other, beside the messages of the feed (`kind: 'feed'`). */
import type { ProcessFigures, SeatFigures } from '../telemetry/index.ts';
import { LISTENERS } from './accept-more.ts';
import type { Configuration } from './configuration.ts';
import type { HostFigures } from './health.ts';

export type ToWorker =
  | { readonly kind: 'worker:start'; readonly assignment: Assignment }
  | { readonly kind: 'worker:host'; readonly host: HostFigures }
  /** What it has asked for. */
  | { readonly kind: 'worker:figures'; readonly workers: readonly SeatFigures[] }
  /** Finish what is in flight, then end. */
  | { readonly kind: 'worker:drain'; readonly lingerMs: number };

export type FromWorker =
  /** It listens to messages, and wants its assignment. */
  | { readonly kind: 'worker:up' }
  | { readonly kind: 'worker:ready'; readonly url: string }
  | ({ readonly kind: 'worker:failed' } & WorkerFailure)
  | ({ readonly kind: 'worker:beat' } & Beat)
  /** It wants the figures of all workers. */
  | { readonly kind: 'worker:ask-figures' };

/** It can't start, and ends. */
export interface WorkerFailure {
  /** That of a {@link RuntimeError}. */
  readonly code: string | undefined;
  readonly message: string;
  /** No fault of the application: a connection to the database could not be had, or broke. */
  readonly isDatabaseAway: boolean;
}

/** Said by a worker every {@link BEAT_MS}. One whose event loop stands still says nothing. */
export interface Beat {
  /** Since it was ready. */
  readonly requests: number;
  readonly rssBytes: number;
  /** A debugger may stop it for as long as it likes. */
  readonly isDebugged: boolean;
  /** Those of all workers are shown by any of them. */
  readonly figures: ProcessFigures;
}

export const BEAT_MS = 1_000;

export interface Assignment {
  /** Path of the application's module. */
  readonly file: string;
  /** With the worker's own share of cache and pool, and the port that all share. */
  readonly configuration: Configuration;
  readonly secret: string;
  readonly databaseUrl: string;
}

/** Descriptors of the listening socket, which a worker inherits: after the three standard ones and the channel. */
export const LISTENING_FDS: readonly number[] = Array.from({ length: LISTENERS }, (_, n) => 4 + n);
