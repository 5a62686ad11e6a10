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
  /** Set for the transaction that it is issued in, by a client within a fill. @defaultValue nothing */
  readonly settings?: ReadonlyMap<string, string> | undefined;
}

/**
 * What pg looks at in a query's config. Copied by name: a template object has its `text` and `values` as getters, of its
 * class or private, which neither a spread nor a derived object would carry.
 */
const FIELDS = ['text', 'values', 'name', 'types', 'rowMode', 'rows', 'queryMode', 'binary', 'portal', 'query_timeout'];

/** The text of what is given to `query()`; undefined for objects that submit themselves, and where pg will complain. */
export function readText(first: unknown): string | undefined {
  if (typeof first === 'string') return first;
  if (isSubmittable(first)) return undefined;
  const text = (first as { text?: unknown } | null | undefined)?.text;
  return typeof text === 'string' ? text : undefined;
}

/** Cursors, streams and `pg.Query` bring their own way to be sent and answered. */
export function isSubmittable(first: unknown): first is { submit: unknown; handleError?: (error: Error) => void } {
  return typeof (first as { submit?: unknown } | null | undefined)?.submit === 'function';
}

/**
 * Reads the arguments of `query()`. What pg would refuse (values that are no array, or can't be converted, or no text at
 * all) is passed on as it is, to be refused by pg in its own words; its text is then empty, which nobody takes for a read.
 */
export function readStatement(args: readonly unknown[]): Statement {
  const [first, second, third] = args;
  const config = copyConfig(first);
  const callback = [second, third, (first as { callback?: unknown }).callback].find(
    (candidate) => typeof candidate === 'function',
  ) as QueryCallback | undefined;
  if (second && typeof second !== 'function') config.values = second as unknown[];
  let { text } = config;
  let values: readonly unknown[] = [];
  try {
    // Converted once: the read set and the server must see the same values, whatever the caller does to the array meanwhile.
    values = (config.values ?? []).map((value: unknown) => pgUtils.prepareValue(value));
    if (values.length > 0) config.values = values as unknown[];
    else delete config.values;
  } catch {
    text = '';
  }
  return { text: typeof text === 'string' ? text : '', values, config, callback };
}

function copyConfig(first: unknown): QueryConfig {
  if (typeof first === 'string') return { text: first };
  const config: Record<string, unknown> = {};
  for (const field of FIELDS) {
    const value = (first as Record<string, unknown>)[field];
    if (value !== undefined) config[field] = value;
  }
  return config as unknown as QueryConfig;
}

/**
 * Sends a statement, and runs `end` when it has been answered, in whichever way its caller asked for. What submits itself ends as it
 * likes, and is not noticed.
 */
export function sendNoticed(
  args: readonly unknown[],
  send: (args: readonly unknown[]) => unknown,
  end: () => void,
): unknown {
  const at = args.findLastIndex((arg) => typeof arg === 'function');
  if (at < 0) {
    const result = send(args);
    return result instanceof Promise ? result.finally(end) : result;
  }
  const callback = args[at] as (...results: unknown[]) => void;
  const told = (...results: unknown[]): void => {
    end();
    callback(...results);
  };
  return send(args.with(at, told));
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

/** Of what is kept with an answer to be shown to people. */
const SHOWN_LENGTH_MAX = 4_000;

/** A long text only as far as it tells something: it would be kept as long as the answer, whose size does not count it. */
export function shownText(text: string): string {
  if (text.length <= SHOWN_LENGTH_MAX) return text;
  // By way of bytes, since a slice holds the text that it was cut from.
  const beginning = Buffer.from(text.slice(0, SHOWN_LENGTH_MAX)).toString();
  return `${beginning} … (${text.length} characters)`;
}
