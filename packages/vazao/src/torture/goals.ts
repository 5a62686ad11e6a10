/** What a run of ten minutes has to have done to show anything. Whether its answers were right is another question. */
import type { TortureReport } from './report.ts';

export interface Goal {
  readonly name: string;
  readonly wanted: string;
  readonly found: string;
  readonly isMet: boolean;
}

const READS_MIN = 2_000_000;
const FAULTS_MIN = 20;
const STALENESS_MAX_MS = 5;
/** Without being asked, only runs of at least this length are measured by them. */
export const GOALS_MINUTES = 10;

/** @param kinds - the faults that were asked for, whether their parts are there or not */
export function judgeGoals(
  { reads, faults, stalenessMs }: Pick<TortureReport, 'reads' | 'faults' | 'stalenessMs'>,
  kinds: readonly string[],
): readonly Goal[] {
  const counts = kinds.map((kind) => ({ kind, count: faults.find((row) => row.kind === kind)?.count ?? 0 }));
  const fewest = counts.reduce((least, each) => (each.count < least.count ? each : least), {
    kind: 'any kind',
    count: kinds.length === 0 ? 0 : Number.POSITIVE_INFINITY,
  });
  const { p999, reads: quietReads } = stalenessMs.withoutFaults;
  return [
    {
      name: 'reads',
      wanted: `at least ${READS_MIN.toLocaleString('en-US')}`,
      found: reads.toLocaleString('en-US'),
      isMet: reads >= READS_MIN,
    },
    {
      name: 'faults of each kind',
      wanted: `at least ${FAULTS_MIN}`,
      found: `${fewest.count} of ${fewest.kind}`,
      isMet: fewest.count >= FAULTS_MIN,
    },
    {
      name: 'staleness without faults, p99.9',
      wanted: `at most ${STALENESS_MAX_MS} ms`,
      found: quietReads === 0 ? 'no reads' : `${p999.toFixed(2)} ms`,
      isMet: quietReads > 0 && p999 <= STALENESS_MAX_MS,
    },
  ];
}

export function formatGoals(goals: readonly Goal[]): string {
  const lines = goals.map(
    ({ name, wanted, found, isMet }) => `  ${isMet ? 'met    ' : 'NOT MET'} ${name}: ${found} (${wanted})`,
  );
  return `goals\n${lines.join('\n')}\n`;
}
