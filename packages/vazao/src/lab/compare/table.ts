/** The table of scenarios: one row for each architecture, one column for each figure, with intervals. */
import { FIGURES, type FigureKind } from '../figures.ts';
import { findingsOf } from '../report/findings.ts';
import { showBytes, showMs, showNumber, showShare } from '../report/numbers.ts';
import { explainLatency } from '../report/why-slow.ts';
import type { Criterion } from '../run-result.ts';
import {
  type CandidateResult,
  type ComparisonResult,
  compareCandidates,
  countingRuns,
  judgeCandidate,
  type Summary,
  summarise,
} from './comparison.ts';

const COLUMNS = [
  'timeoutRate',
  'throughput',
  'mean',
  'p99',
  'hitRate',
  'successRate',
  'cpuCores',
  'rssMax',
  'queriesPerRequest',
] as const;

/** Smaller shares don't change what a latency says. */
const ERRORS_SHOWN_MIN = 0.001;

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function scenarioTable(result: ComparisonResult): Table {
  const kinds = COLUMNS.map((name) => FIGURES.find((kind) => kind.name === name) as FigureKind);
  const shown = kinds.filter(({ name }) => result.candidates.some((candidate) => summarise(candidate, name)));
  return {
    head: ['architecture', ...shown.map(({ title }) => title), 'rounds'],
    rows: result.candidates.map((candidate) => [
      `${candidate.name} (${candidate.description})`,
      ...shown.map((kind) => showSummary(kind, summarise(candidate, kind.name))),
      countingRuns(candidate).length > 0 ? String(countingRuns(candidate).length) : `${candidate.runs.length} void`,
    ]),
  };
}

/** Verdicts, criteria and what is missing, one sentence a line. */
export function scenarioSentences(result: ComparisonResult): string[] {
  const pairs = compareCandidates(result).filter(({ comparison }) => comparison.rounds > 0);
  const lines = pairs.map(({ figure, a, b, comparison }) => {
    return `${figure.title}: ${comparison.sentence}${figure.unit === 'ms' ? showErrors([a, b]) : ''}`;
  });
  for (const candidate of result.candidates) {
    if (candidate.failed !== undefined)
      lines.push(
        `${candidate.name} FAILED after ${countRounds(candidate.runs.length)}, and was left out: ${candidate.failed}`,
      );
    const silent = candidate.runs.length - countingRuns(candidate).length;
    if (silent > 0) {
      const why = candidate.runs.flatMap(({ generator }) => generator.void ?? [])[0];
      lines.push(`${candidate.name}: ${silent} of ${candidate.runs.length} runs are void. ${why}`);
    }
    const doubtful = countingRuns(candidate)
      .flatMap(findingsOf)
      .filter(({ outcome }) => outcome === 'doubtful');
    if (doubtful[0]) {
      lines.push(
        `${candidate.name}: ${doubtful.length} of ${candidate.runs.length} runs are doubtful. ${doubtful[0].sentence}`,
      );
    }
    const judged = judgeCandidate(candidate, result.criteria);
    if (judged.length === 0 || silent === candidate.runs.length) continue;
    const words = judged.map((criterion) => {
      const { metric, value, outcome } = criterion;
      const kind = FIGURES.find(({ name }) => name === metric) as FigureKind;
      return `${kind.title} ${showFigure(kind, value)} (${showBounds(kind, criterion)}${outcome === 'passed' ? '' : `, ${outcome.toUpperCase()}`})`;
    });
    const meets = judged.every(({ outcome }) => outcome === 'passed');
    if (!meets && result.judged !== undefined && candidate.name !== result.judged)
      words.push(`which is asked of ${result.judged} alone`);
    lines.push(`${candidate.name} ${meets ? 'meets all criteria' : 'does not meet all criteria'}: ${words.join(', ')}`);
  }
  const judged = result.candidates.find(({ name }) => name === result.judged);
  const why = judged && explainLatency(countingRuns(judged).flatMap(({ samples }) => samples)).at(-1);
  if (judged && why && judged.runs.some(({ samples }) => samples.some(({ stages }) => stages)))
    lines.push(`${judged.name}: ${why.sentence}`);
  return [...lines, ...result.skipped.map(({ name, why }) => `${name} was left out: ${why}`)];
}

/** Who answers only some of the requests may well be quick: so a latency stands beside the share of the others. */
function showErrors(pair: readonly CandidateResult[]): string {
  const shares = pair.map((candidate) => summarise(candidate, 'errorRate')?.median ?? 0);
  if (Math.max(...shares) < ERRORS_SHOWN_MIN) return '';
  return `; errors: ${pair.map(({ name }, index) => `${name} ${showShare(shares[index])}`).join(', ')}`;
}

function countRounds(rounds: number): string {
  return rounds === 1 ? '1 round' : `${rounds} rounds`;
}

/** What a criterion demands of a figure. */
export function showBounds(kind: FigureKind, { min, max }: Pick<Criterion, 'min' | 'max'>): string {
  const bounds = [
    ...(min === undefined ? [] : [`≥ ${showFigure(kind, min)}`]),
    ...(max === undefined ? [] : [`≤ ${showFigure(kind, max)}`]),
  ];
  return bounds.join(', ');
}

export function showFigure({ unit }: FigureKind, value: number | undefined): string {
  switch (unit) {
    case 'share':
      return showShare(value);
    case 'ms':
      return showMs(value);
    case 'bytes':
      return showBytes(value);
    case 'requests/s':
      return value === undefined ? '–' : `${showNumber(value)}/s`;
    case 'cores':
    case 'statements':
      return showNumber(value);
  }
}

function showSummary(kind: FigureKind, summary: Summary | undefined): string {
  if (!summary) return '–';
  const { interval, rounds } = summary;
  const value = showFigure(kind, summary.median);
  const [low, high] = [showFigure(kind, interval.low), showFigure(kind, interval.high)];
  return rounds < 2 || low === high
    ? value
    : `${value} (${low.replace(/[^\d.,]+$/, '')}–${high.replace(/[^\d.,]+$/, '')})`;
}

/** Columns padded with spaces, for a terminal. */
export function formatTable({ head, rows }: Table): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number),
      )
      .join('  ')
      .trimEnd();
  return `${[line(head), widths.map((width) => '─'.repeat(width)).join('  '), ...rows.map(line)].join('\n')}\n`;
}
