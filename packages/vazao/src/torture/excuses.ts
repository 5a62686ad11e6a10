/**
 * Which failed requests are nobody's fault. What is broken at one host excuses requests to that host; what is broken at the
 * primary excuses all.
 */
import type { FaultRecord } from './faults.ts';

/**
 * As long as requests wait for a connection of the pool: one may stand behind those that found theirs broken. With 1 s, one request
 * in 240,000 had no excuse: its connection was closed 1.5 s after the database had been cut off, by whom was not traced.
 */
export const EXCUSE_AFTER_MS = 5_000;
/**
 * A process that was starting while the database was away is tried again after a back-off of up to 5 s, and its start takes its
 * time; meanwhile the other one of its host may be broken, too.
 */
export const EXCUSE_STARTING_MS = 10_000;
/** Faults that ended longer ago excuse nothing, and don't lengthen what others excuse. */
export const EXCUSE_MAX_MS: number = 2 * EXCUSE_STARTING_MS;

/** Whether one of the faults excuses that a request to this host, from then to then, has failed. */
export function isExcused(faults: readonly FaultRecord[], host: string, fromMs: number, toMs: number): boolean {
  const excusing = faults.filter((fault) => fault.excuses && (fault.host === undefined || fault.host === host));
  const until = (fault: FaultRecord): number =>
    fault.endedAtMs + (excusing.some((other) => metWhileStarting(fault, other)) ? EXCUSE_STARTING_MS : EXCUSE_AFTER_MS);
  return excusing.some((fault) => fault.startedAtMs <= toMs && until(fault) >= fromMs);
}

/** One had processes of the host start, the other broke the database, at the same time. */
function metWhileStarting(a: FaultRecord, b: FaultRecord): boolean {
  const [ofHost, ofAll] = a.host === undefined ? [b, a] : [a, b];
  if (!ofHost.restarts || ofAll.host !== undefined) return false;
  return (
    ofHost.startedAtMs <= ofAll.endedAtMs + EXCUSE_AFTER_MS && ofAll.startedAtMs <= ofHost.endedAtMs + EXCUSE_AFTER_MS
  );
}
