/** What the fields of an answer say of the server. */
import { QUERIES } from '../stages.ts';

const METRICS_MAX = 64;

export type FieldValue = string | readonly string[] | undefined;

export interface CacheStatus {
  /** One hit in the chain of caches is a hit. */
  readonly outcome: 'hit' | 'miss';
  readonly isVazao: boolean;
}

export interface ServerTiming {
  /** By name, in milliseconds; the same name twice is added up, and Vazão's `q1`, `q2` … are one stage, `queries`. */
  readonly stages: Readonly<Record<string, number>>;
  /** Statements, where the field tells: Vazão's `q1`, `q2` …, or the count of others (`db;dur=1.2;desc="3 queries"`). */
  readonly queries: number | undefined;
  /** Milliseconds by the name that Vazão gives a statement (`select campanhas`); undefined where none is named. */
  readonly statements: Readonly<Record<string, number>> | undefined;
}

/** `Cache-Status` (RFC 9211). */
export function readCacheStatus(field: FieldValue): CacheStatus | undefined {
  if (field === undefined) return undefined;
  const text = typeof field === 'string' ? field : field.join(',');
  return { outcome: /;\s*hit\b/.test(text) ? 'hit' : 'miss', isVazao: /(^|,)\s*vazao\b/.test(text) };
}

/**
 * `Server-Timing` (W3C). What is not understood is left out.
 * @param isVazao - no statement in the field means that none ran
 */
export function readServerTiming(field: FieldValue, isVazao: boolean): ServerTiming | undefined {
  if (field === undefined) return undefined;
  const text = typeof field === 'string' ? field : field.join(',');
  const stages: Record<string, number> = {};
  let queries = isVazao ? 0 : undefined;
  const statements = new Map<string, number>();
  let metrics = 0;
  // A comma inside a quoted description separates nothing.
  for (const [metric] of text.matchAll(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g)) {
    metrics += 1;
    if (metrics > METRICS_MAX) break;
    const name = /^\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)/.exec(metric)?.[1];
    if (name === undefined) continue;
    const isStatement = /^q\d*$/.test(name);
    const stage = isStatement ? QUERIES : name;
    const duration = /;\s*dur\s*=\s*"?(\d+(?:\.\d+)?)/i.exec(metric)?.[1];
    if (duration !== undefined) stages[stage] = (stages[stage] ?? 0) + Number(duration);
    // `q` alone sums up those that are not listed.
    const described = isStatement && name !== 'q' ? /;\s*desc\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(metric)?.[1] : undefined;
    if (described !== undefined && duration !== undefined) {
      const statement = described.replaceAll(/\\(.)/g, '$1');
      statements.set(statement, (statements.get(statement) ?? 0) + Number(duration));
    }
    const counted = /^(db|queries|q)$/i.test(name) ? /;\s*desc\s*=\s*"?(\d+)\b/i.exec(metric)?.[1] : undefined;
    if (counted !== undefined) queries = (queries ?? 0) + Number(counted);
    else if (isStatement) queries = (queries ?? 0) + 1;
  }
  return { stages, queries, statements: statements.size > 0 ? Object.fromEntries(statements) : undefined };
}
