/** The forms in which pg takes a statement, read into one. */
import type { QueryConfig } from 'pg';
import pgUtils from 'pg/lib/utils.js';

export type QueryCallback = (error: Error | undefined, result?: unknown) => void;

export interface Statement {
  readonly text: string;
  /** In the text form that goes over the wire. */
  readonly values: readonly unknown[];
  /** Ready for pg, with `values` as above. */
  readonly config: QueryConfig;
  readonly callback: QueryCallback | undefined;
}

/** Reads the arguments of `query()`; undefined for objects that submit themselves (cursors, streams, `pg.Query`). */
export function readStatement(args: readonly unknown[]): Statement | undefined {
  const [first, second, third] = args;
  if (typeof first !== 'string' && (typeof first !== 'object' || first === null || 'submit' in first)) return undefined;
  const config: QueryConfig & { callback?: QueryCallback } =
    typeof first === 'string' ? { text: first } : { ...(first as QueryConfig) };
  const callback = [second, third, config.callback].find((candidate) => typeof candidate === 'function') as
    | QueryCallback
    | undefined;
  delete config.callback;
  const given = Array.isArray(second) ? second : (config.values ?? []);
  // Converted once: the read set and the server must see the same values, whatever the caller does to the array meanwhile.
  const values = given.map((value: unknown) => pgUtils.prepareValue(value));
  if (values.length > 0) config.values = values;
  else delete config.values;
  return { text: config.text, values, config, callback };
}

/** Answers the way the caller asked to be answered. A callback that throws is a bug of the caller's, and surfaces as one. */
export function answer<T>(promise: Promise<T>, callback: QueryCallback | undefined): Promise<T> | undefined {
  if (!callback) return promise;
  promise.then(
    (result) => process.nextTick(callback, undefined, result),
    (error: Error) => process.nextTick(callback, error),
  );
  return undefined;
}
