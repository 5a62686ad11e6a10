/**
 * What a piece of asynchronous work belongs to: the request that it serves, the fill that it computes.
 *
 * The pool reads it wherever a statement is issued. pg's own queues run callbacks in the context of whoever freed a
 * connection, so `Pool` binds each callback to the context of its caller.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { FillCare } from './fill-care.ts';
import type { Stages } from './stages.ts';
import type { TraceContext } from './trace-context.ts';

export interface WorkContext {
  /** The fill that statements are read for; undefined outside a cached handler. */
  readonly fill: FillCare | undefined;
  /** Where the log stood after the last write of this work was committed; 0 when it wrote nothing. */
  position: bigint;
  /** It was asked for, at least. */
  isPositionAsked?: boolean;
  /** Reads of this work, outside of fills, that have not come back. */
  readsUnderway?: number;
  /** One of them may show what was committed after {@link WorkContext.position}. */
  hasReadBeyond?: boolean;
  /** Where its time goes; undefined unless somebody measures. */
  readonly stages?: Stages | undefined;
  /** The distributed trace that it is a part of; undefined unless its caller has named one. */
  readonly trace?: TraceContext | undefined;
}

const storage = new AsyncLocalStorage<WorkContext>();

export function currentContext(): WorkContext | undefined {
  return storage.getStore();
}

/** Runs `work`, and whatever it starts, in the context. */
export function runInContext<T>(context: WorkContext, work: () => T): T {
  return storage.run(context, work);
}

/**
 * Makes it the context of what the caller goes on to do, and of all that follows from that: for work that somebody else runs
 * after having asked us something. Call it before anything is awaited.
 */
export function enterContext(context: WorkContext): void {
  storage.enterWith(context);
}

/** Runs `work` in no context: for what outlives the work that starts it, as a connection does. */
export function runWithoutContext<T>(work: () => T): T {
  return storage.exit(work);
}

/** A stage of the present work has ended: time that it spent waiting, or on something apart. Costs nothing unless somebody measures. */
export function stage(name: string, durationMs: number): void {
  storage.getStore()?.stages?.add(name, durationMs);
}

/**
 * Runs `work` and tells where the log stood after its last write, or 0 when it wrote nothing. Wait for it with
 * `feed.waitFor(position)` to be sure that no cache of this host answers with anything older.
 *
 * When the connection broke under a COMMIT, and the database could not be asked either, the position is one that no feed reaches.
 *
 * Inside a cached handler the work stays in the care of the fill, and a request's own position counts these writes too.
 */
export async function trackWrites<T>(work: () => PromiseLike<T>): Promise<{ result: T; position: bigint }> {
  const outer = currentContext();
  const context: WorkContext = { ...outer, fill: outer?.fill, position: 0n };
  try {
    // Awaited inside: a query builder does its work only when it is waited for.
    const result = await runInContext(context, async () => await work());
    return { result, position: context.position };
  } finally {
    if (outer && context.position > outer.position) {
      outer.position = context.position;
      // What either has read meanwhile is not told apart.
      outer.isPositionAsked = true;
      outer.hasReadBeyond = true;
    }
  }
}
