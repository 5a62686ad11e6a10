/**
 * The report as one file: plots, tables and sentences, with everything inlined. Its policy forbids every request, so that it can be
 * sent around and opened anywhere, and looks the same in ten years.
 */

import { scalingSteps } from '../capacity/scaling-steps.ts';
import type { ComparisonResult } from '../compare/comparison.ts';
import { scenarioSentences, scenarioTable, showBounds, showFigure, type Table } from '../compare/table.ts';
import { FIGURES, type FigureKind, figureOf } from '../figures.ts';
import type { CriterionVerdict, RequestSample, RunResult } from '../run-result.ts';
import { fitUsl, type UslPoint } from '../statistics/usl.ts';
import type { BaselineVerdict } from './baseline.ts';
import { type Chart, chartsOf, percentileCurve, uslChart } from './charts.ts';
import { escapeMarkup, escapeScript } from './escape.ts';
import { findingsOf } from './findings.ts';
import { nameOf } from './name-run.ts';
import { showBytes, showMs, showShare } from './numbers.ts';
import { PAGE_SCRIPT } from './page-script.ts';
import { COLOURS, PAGE_STYLE } from './page-style.ts';
import { whatHelps } from './what-helps.ts';
import { explainLatency, partsOf, statementsOf } from './why-slow.ts';

export interface HtmlOptions {
  readonly title: string;
  readonly runs: readonly RunResult[];
  readonly comparison?: ComparisonResult | undefined;
  readonly baseline?: readonly BaselineVerdict[] | undefined;
  /** Texts of `uplot/dist/uPlot.iife.min.js` and `uplot/dist/uPlot.min.css`, which go into the page. */
  readonly plotScript: string;
  readonly plotStyle: string;
}

/** Runs that are shown whole; of more, the table has them all. */
const RUNS_SHOWN_MAX = 12;
const SLOWEST_SHOWN = 3;
const STATEMENTS_SHOWN = 5;

export function renderHtml(options: HtmlOptions): string {
  const { title, runs, comparison, baseline = [] } = options;
  const charts: Chart[] = [];
  const shown = comparison ? lastRounds(comparison) : runs.slice(0, RUNS_SHOWN_MAX);
  const draw = (chart: Chart): string =>
    `<figure data-chart="${charts.push(chart) - 1}"><figcaption>${escapeMarkup(chart.title)}</figcaption></figure>`;
  const body = [
    `<h1>${escapeMarkup(title)}</h1>`,
    machineLine(runs[0]),
    comparison ? comparisonSection(comparison, draw) : overview(runs),
    baseline.length > 0 ? baselineSection(baseline) : '',
    uslSection(runs, draw),
    ...shown.map((run) => runSection(run, draw)),
  ].join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'">
<title>${escapeMarkup(title)}</title>
<style>${options.plotStyle}${PAGE_STYLE}</style>
</head>
<body>
${body}
<noscript><p>The plots need JavaScript; all tables and sentences are here without it.</p></noscript>
<script type="application/json" id="charts">${escapeScript(charts)}</script>
<script>${options.plotScript}</script>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;
}

type Draw = (chart: Chart) => string;

function comparisonSection(result: ComparisonResult, draw: Draw): string {
  const curves = lastRounds(result).map((run) => ({ label: run.architecture ?? '', histogram: run.total.histogram }));
  const { users, thinkMs, seed } = result;
  return `<h2>Architectures</h2>
<p>${users} users, each of whom thinks ${thinkMs / 1_000} s between an answer and the next request. Medians over the rounds, with intervals of
95 % (bootstrap); in each round the architectures ran one after the other, in an order drawn from seed ${seed}.</p>
${table(scenarioTable(result))}
<ul>${scenarioSentences(result)
    .map((line) => `<li>${escapeMarkup(line)}</li>`)
    .join('')}</ul>
<div class="charts">${draw({ ...percentileCurve(curves), title: 'Latency by percentile, last round' })}</div>`;
}

function overview(runs: readonly RunResult[]): string {
  const rows = runs.map((run) => [
    nameOf(run),
    ...FIGURES.map((kind) => showFigure(kind, figureOf(run, kind.name))),
    run.verdict,
  ]);
  return `<h2>Runs</h2>${table({ head: ['run', ...FIGURES.map(({ title }) => title), 'verdict'], rows })}`;
}

function baselineSection(verdicts: readonly BaselineVerdict[]): string {
  const lines = verdicts.map(({ outcome, sentence }) => {
    const kind = { worse: 'failed', 'not worse': 'passed', unknown: 'unknown' }[outcome];
    return `<li><span class="${kind}">${outcome}</span>: ${escapeMarkup(sentence)}</li>`;
  });
  return `<h2>Against the baseline</h2><ul>${lines.join('')}</ul>`;
}

/** Where steps of load allow it. That there are too few is no failure of a report. */
function uslSection(runs: readonly RunResult[], draw: Draw): string {
  // A law is one server's: steps of different architectures are no steps.
  if (new Set(runs.map(({ architecture }) => architecture)).size > 1) return '';
  const { points, what } = scalingSteps(runs);
  const fit = tryFit(points);
  if (!fit) return '';
  const { lambda, sigma, kappa, peakN } = fit;
  const plusMinus = ({ value, standardError }: typeof lambda, digits: number): string =>
    `${value.toPrecision(digits)} ± ${(1.96 * standardError).toPrecision(2)}`;
  const peak = peakN === undefined ? 'It has no peak.' : `It peaks at ${peakN.toFixed(0)} ${escapeMarkup(what)}.`;
  return `<h2>Scalability</h2>
<p>λ = ${plusMinus(lambda, 4)} requests/s of the first, σ = ${plusMinus(sigma, 3)} (waiting for one another), κ = ${plusMinus(kappa, 3)}
(agreeing with one another). ${peak}</p><div class="charts">${draw(uslChart(points, fit, what))}</div>`;
}

function tryFit(points: readonly UslPoint[]): ReturnType<typeof fitUsl> | undefined {
  try {
    return fitUsl(points);
  } catch {
    return undefined; // fewer steps than parameters
  }
}

function runSection(run: RunResult, draw: Draw): string {
  const late = run.generator.void?.map((why) => `<p class="void">Void: ${escapeMarkup(why)}</p>`).join('') ?? '';
  const found = findingsOf(run).map(
    ({ outcome, sentence }) => `<li><span class="${outcome}">${outcome}</span>: ${escapeMarkup(sentence)}</li>`,
  );
  return `<h2>${escapeMarkup(nameOf(run))}</h2>
<p class="soft">${escapeMarkup(run.startedAt)}, ${run.durationS.toFixed(0)} s, seed ${run.seed}, ${escapeMarkup(run.target)}</p>${late}
${criteriaTable(run.criteria)}
${found.length > 0 ? `<ul>${found.join('')}</ul>` : ''}
<div class="charts">${chartsOf(run).map(draw).join('\n')}</div>
${whySlow(run)}`;
}

function criteriaTable(criteria: readonly CriterionVerdict[]): string {
  if (criteria.length === 0) return '';
  const rows = criteria.map((criterion) => {
    const { metric, value, outcome, phase } = criterion;
    const kind = FIGURES.find(({ name }) => name === metric) as FigureKind;
    return `<tr><td>${escapeMarkup(kind.title)}${phase === undefined ? '' : ` (${escapeMarkup(phase)})`}</td><td>${showBounds(kind, criterion)}</td><td>${showFigure(kind, value)}</td><td class="${outcome}">${outcome}</td></tr>`;
  });
  return `<div class="scroll"><table><thead><tr><th>criterion</th><th>must be</th><th>is</th><th>verdict</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function whySlow(run: RunResult): string {
  const bands = explainLatency(run.samples);
  if (bands.length === 0 && run.slowest.length === 0) return '';
  const names = [
    ...new Set(
      [...bands.flatMap(({ shares }) => shares), ...run.slowest.slice(0, SLOWEST_SHOWN).flatMap(partsOf)].map(
        ({ name }) => name,
      ),
    ),
  ];
  const colour = (name: string): string => COLOURS[names.indexOf(name) % COLOURS.length] as string;
  const keys = names.map(
    (name) => `<li><span class="key" style="background:${colour(name)}"></span>${escapeMarkup(name)}</li>`,
  );
  const rows = bands.map(({ sentence, shares }) => {
    const parts = shares.map(
      ({ name, share }) =>
        `<span style="width:${(share * 100).toFixed(2)}%;background:${colour(name)}" title="${escapeMarkup(name)} ${showShare(share)}"></span>`,
    );
    return `<p>${escapeMarkup(sentence)}</p><div class="bar" role="img" aria-label="${escapeMarkup(sentence)}">${parts.join('')}</div>`;
  });
  const slowest = run.slowest.slice(0, SLOWEST_SHOWN).map((request) => waterfall(request, colour));
  const helps = whatHelps(run).map((sentence) => `<li>${escapeMarkup(sentence)}</li>`);
  return `<h3>Why it is slow</h3><ul class="keys">${keys.join('')}</ul>${rows.join('')}
${helps.length > 0 ? `<h3>What may help</h3><ul>${helps.join('')}</ul>` : ''}
${slowest.length > 0 ? `<h3>The slowest requests</h3>${slowest.join('')}` : ''}`;
}

/** Stages one after the other. `Server-Timing` tells how long each took and not when it began, so overlaps are not seen. */
function waterfall(request: RequestSample, colour: (name: string) => string): string {
  let before = 0;
  const rows = partsOf(request).map(({ name, durationMs }) => {
    const percent = (ms: number): string => ((ms / request.latencyMs) * 100).toFixed(2);
    const row = `<span>${escapeMarkup(name)}</span><i style="margin-left:${percent(before)}%;width:max(2px,${percent(durationMs)}%);background:${colour(name)}"></i><span>${showMs(durationMs)}</span>`;
    before += durationMs;
    return row;
  });
  const end = request.error ?? `status ${request.status}`;
  const words = `${request.step} at ${request.atS.toFixed(2)} s: ${showMs(request.latencyMs)}, ${end}${request.cache === undefined ? '' : `, ${request.cache}`}`;
  const statements = statementsOf(request)
    .slice(0, STATEMENTS_SHOWN)
    .map(({ name, durationMs }) => `${name} ${showMs(durationMs)}`);
  const told =
    statements.length > 0 ? `<p class="soft">${escapeMarkup(`statements: ${statements.join(', ')}`)}</p>` : '';
  return `<p>${escapeMarkup(words)}</p><div class="waterfall">${rows.join('')}</div>${told}`;
}

function lastRounds({ candidates }: ComparisonResult): RunResult[] {
  return candidates.flatMap(({ runs }) => runs.at(-1) ?? []);
}

function machineLine(run: RunResult | undefined): string {
  if (!run) return '';
  const { cpu, cores, memoryBytes, system, node, loadAverage } = run.machine;
  return `<p class="soft">${escapeMarkup(`${cores} cores of ${cpu}, ${showBytes(memoryBytes)}, ${system}, Node ${node}; load before the run ${loadAverage.toFixed(1)}`)}</p>`;
}

function table({ head, rows }: Table): string {
  const cells = (row: readonly string[], tag: string): string =>
    row.map((cell) => `<${tag}>${escapeMarkup(cell)}</${tag}>`).join('');
  return `<div class="scroll"><table><thead><tr>${cells(head, 'th')}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('')}</tbody></table></div>`;
}
