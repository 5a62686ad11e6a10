/** Counts of an oracle run, which add up over connections and processes. */
import type { OracleCase } from './oracle.fuzz.ts';

export interface ClassTally {
  cases: number;
  /** Cases in which the answer changed. */
  changed: number;
  /** Cases in which it did not, although the change was touched by the read set. */
  falseAlarms: number;
  unchanged: number;
}

export interface Tally {
  cases: number;
  changed: number;
  /** Cases whose change is one of a table that the statement reads. */
  related: number;
  misses: number;
  /** Statements whose answer depends on where rows are stored: not counted as cases. */
  unstable: number;
  /** Statements that PostgreSQL itself rejects. */
  rejected: number;
  /** Statements. */
  statements: number;
  readonly refused: Record<string, number>;
  readonly classes: Record<string, ClassTally>;
}

export function createTally(): Tally {
  return {
    cases: 0,
    changed: 0,
    related: 0,
    misses: 0,
    unstable: 0,
    rejected: 0,
    statements: 0,
    refused: {},
    classes: {},
  };
}

export function countCase(tally: Tally, found: OracleCase): void {
  const isChanged = found.verdict === 'miss' || found.verdict === 'alarm';
  tally.cases++;
  if (isChanged) tally.changed++;
  if (found.verdict === 'miss') tally.misses++;
  if (found.isRelated) tally.related++;
  // False alarms are measured on changes of the tables that are read: of the others there are none, which says nothing.
  if (!found.isRelated) return;
  for (const kind of found.statement.kinds) countClass(tally, kind, isChanged, found.verdict === 'false alarm');
}

export function countClass(tally: Tally, kind: string, isChanged: boolean, isFalseAlarm: boolean): void {
  const known = tally.classes[kind];
  const of = known ?? { cases: 0, changed: 0, falseAlarms: 0, unchanged: 0 };
  if (!known) tally.classes[kind] = of;
  of.cases++;
  if (isChanged) of.changed++;
  else of.unchanged++;
  if (isFalseAlarm) of.falseAlarms++;
}

export function addTally(to: Tally, from: Tally): void {
  for (const key of ['cases', 'changed', 'related', 'misses', 'unstable', 'rejected', 'statements'] as const)
    to[key] += from[key];
  for (const [code, count] of Object.entries(from.refused)) to.refused[code] = (to.refused[code] ?? 0) + count;
  for (const [kind, { cases, changed, falseAlarms, unchanged }] of Object.entries(from.classes)) {
    to.classes[kind] ??= { cases: 0, changed: 0, falseAlarms: 0, unchanged: 0 };
    const of = to.classes[kind];
    of.cases += cases;
    of.changed += changed;
    of.falseAlarms += falseAlarms;
    of.unchanged += unchanged;
  }
}

/** The totals in lines for people. */
export function describeTally(tally: Tally, elapsedMs: number): string[] {
  const refusals = Object.entries(tally.refused).sort(([, a], [, b]) => b - a);
  const perSecond = Math.round(tally.cases / (elapsedMs / 1000));
  return [
    `${tally.cases} cases in ${(elapsedMs / 1000).toFixed(1)} s (${perSecond}/s), ${tally.misses} misses, ${tally.changed} answers changed, ${tally.related} cases of tables that the statement reads`,
    `${tally.statements} statements: ${tally.rejected} rejected by PostgreSQL, ${tally.unstable} cases left out because the answer depends on where rows are stored, refused: ${refusals.map(([code, count]) => `${code} ${count}`).join(', ') || 'none'}`,
    ...describeClasses(tally),
  ];
}

export function describeClasses(tally: Tally): string[] {
  return Object.entries(tally.classes)
    .sort(([, a], [, b]) => b.cases - a.cases)
    .map(([kind, { cases, changed, falseAlarms, unchanged }]) => {
      const rate = unchanged === 0 ? '-' : `${((100 * falseAlarms) / unchanged).toFixed(1)} %`;
      return `  ${kind.padEnd(26)} ${String(cases).padStart(8)} cases ${String(changed).padStart(7)} changed, false alarms ${rate}`;
    });
}
