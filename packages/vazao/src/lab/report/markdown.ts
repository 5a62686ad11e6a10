/** A summary for pull requests and for bench/RESULTS.md. */
import type { ComparisonResult } from '../compare/comparison.ts';
import { scenarioSentences, scenarioTable, showBounds, showFigure, type Table } from '../compare/table.ts';
import { FIGURES, type FigureKind, figureOf } from '../figures.ts';
import type { CriterionVerdict, Machine, RunResult } from '../run-result.ts';
import type { BaselineVerdict } from './baseline.ts';
import { escapeMarkdown } from './escape.ts';
import { findingsOf } from './findings.ts';
import { nameOf } from './name-run.ts';
import { showBytes } from './numbers.ts';
import { whatHelps } from './what-helps.ts';
import { explainLatency } from './why-slow.ts';

const VERDICTS = { passed: '✅ passed', failed: '❌ failed', void: '⚠️ void', none: 'no criteria' } as const;

const MARKS = { passed: '', failed: '❌ ', doubtful: '⚠️ ' } as const;

export function renderMarkdown(runs: readonly RunResult[], baseline: readonly BaselineVerdict[] = []): string {
  const head = ['run', 'verdict', ...FIGURES.map(({ title }) => title)];
  const rows = runs.map((run) => [
    nameOf(run),
    VERDICTS[run.verdict],
    ...FIGURES.map((kind) => showFigure(kind, figureOf(run, kind.name))),
  ]);
  const lines = runs.flatMap((run) => [
    ...run.criteria
      .filter(({ outcome }) => outcome !== 'passed')
      .map((criterion) => `${nameOf(run)}: ${describeVerdict(criterion)}`),
    ...(run.generator.void ?? []),
    ...findingsOf(run).map(({ outcome, sentence }) => `${MARKS[outcome]}${nameOf(run)}: ${sentence}`),
    ...explainLatency(run.samples)
      .slice(-1)
      .map(({ sentence }) => `${nameOf(run)}: ${sentence}`),
    ...whatHelps(run).map((sentence) => `${nameOf(run)}, may help: ${sentence}`),
  ]);
  const judged = baseline.map(({ outcome, sentence }) => `${outcome === 'worse' ? '❌ ' : ''}${sentence}`);
  return [heading('Load test', runs[0]?.machine), table({ head, rows }), list([...judged, ...lines])]
    .filter(Boolean)
    .join('\n');
}

export function renderComparisonMarkdown(result: ComparisonResult): string {
  const { application, users, thinkMs, seed, machine } = result;
  const title = `${escapeMarkdown(application)}: ${users} users who think ${thinkMs / 1_000} s, seed ${seed}`;
  return [heading(title, machine), table(scenarioTable(result)), list(scenarioSentences(result))].join('\n');
}

function heading(title: string, machine: Machine | undefined): string {
  if (!machine) return `### ${title}\n`;
  const { cpu, cores, memoryBytes, system, node, loadAverage } = machine;
  const words = `${cores} cores of ${cpu}, ${showBytes(memoryBytes)}, ${system}, Node ${node}, load before ${loadAverage.toFixed(1)}`;
  return `### ${title}\n\n${escapeMarkdown(words)}\n`;
}

function table({ head, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escapeMarkdown).join(' | ')} |`;
  return `${[line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n')}\n`;
}

function list(lines: readonly string[]): string {
  return lines.length === 0 ? '' : `${lines.map((line) => `- ${escapeMarkdown(line)}`).join('\n')}\n`;
}

function describeVerdict(criterion: CriterionVerdict): string {
  const { metric, value, phase } = criterion;
  const kind = FIGURES.find(({ name }) => name === metric) as FigureKind;
  const where = phase === undefined ? '' : ` (${phase})`;
  const is = value === undefined ? 'was not measured' : `is ${showFigure(kind, value)}`;
  return `${kind.title}${where} ${is}, and must be ${showBounds(kind, criterion)}`;
}
