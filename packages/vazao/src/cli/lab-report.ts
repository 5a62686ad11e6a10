/** `vazao lab report`: documents from results, and their comparison with a baseline. */
import { readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { passes } from '../lab/compare/comparison.ts';
import { judgeAgainstBaseline } from '../lab/report/baseline.ts';
import { type HtmlOptions, renderHtml } from '../lab/report/html.ts';
import { renderComparisonJunit, renderJunit } from '../lab/report/junit.ts';
import { renderComparisonMarkdown, renderMarkdown } from '../lab/report/markdown.ts';
import { type Results, readResults } from '../lab/report/read-results.ts';
import { assertPeer } from '../peer/load-peer.ts';
import { CRITERIA_FAILED } from './lab-run.ts';
import { UsageError } from './usage-error.ts';

const USAGE =
  'vazao lab report <results.json> … [--html FILE] [--markdown FILE] [--junit FILE] [--baseline FILE] [--tolerance 10]';

const OPTIONS = {
  html: { type: 'string' },
  markdown: { type: 'string' },
  junit: { type: 'string' },
  baseline: { type: 'string' },
  tolerance: { type: 'string' },
  title: { type: 'string' },
} as const;

/**
 * Resolves with the exit code: 99 for a run that failed or is void, or for one that is worse than the baseline. Of a comparison only the
 * architecture that is judged counts, or the revisions.
 */
export async function reportLab(words: readonly string[]): Promise<number> {
  const { values, files } = parse(words);
  const results = await readAll(files);
  const { runs, comparison } = results;
  const tolerance = Number(values.tolerance ?? 10) / 100;
  if (!(tolerance >= 0 && tolerance < 10)) throw new UsageError('--tolerance is a share in percent, as 10.');
  const baseline =
    values.baseline === undefined
      ? []
      : judgeAgainstBaseline(runs, (await readAll([values.baseline])).runs, { tolerance });
  const markdown = comparison ? renderComparisonMarkdown(comparison) : renderMarkdown(runs, baseline);
  if (values.markdown !== undefined) await writeTo(values.markdown, markdown);
  if (values.junit !== undefined)
    await writeTo(values.junit, comparison ? renderComparisonJunit(comparison, baseline) : renderJunit(runs, baseline));
  if (values.html !== undefined) {
    const title =
      values.title ?? `${runs[0]?.scenario.name ?? 'Lab'}: ${comparison ? 'architectures compared' : 'results'}`;
    await writeHtmlReport(values.html, { title, runs, comparison, baseline });
  }
  if (values.html === undefined && values.markdown === undefined && values.junit === undefined)
    process.stdout.write(markdown);
  for (const { sentence, outcome } of baseline) process.stdout.write(`${outcome}: ${sentence}\n`);
  const { judged } = comparison ?? {};
  const isBad =
    baseline.some(
      ({ outcome, architecture }) => outcome === 'worse' && (judged === undefined || architecture === judged),
    ) || (comparison ? !passes(comparison) : runs.some(({ verdict }) => verdict === 'failed' || verdict === 'void'));
  return isBad ? CRITERIA_FAILED : 0;
}

/** Throws PeerError without `uplot`. */
export async function writeHtmlReport(
  file: string,
  options: Omit<HtmlOptions, 'plotScript' | 'plotStyle' | 'runs'> & Partial<Pick<HtmlOptions, 'runs'>>,
): Promise<void> {
  assertPeer('uplot', 'A report in HTML');
  const { resolve: find } = createRequire(import.meta.url);
  const html = renderHtml({
    runs: options.comparison?.candidates.flatMap(({ runs }) => runs) ?? [],
    ...options,
    plotScript: readFileSync(find('uplot/dist/uPlot.iife.min.js'), 'utf8'),
    plotStyle: readFileSync(find('uplot/dist/uPlot.min.css'), 'utf8'),
  });
  await writeTo(file, html);
}

async function readAll(files: readonly string[]): Promise<Results> {
  const read = await Promise.all(files.map(async (file) => readResults(await readFile(file, 'utf8'), file)));
  return { runs: read.flatMap(({ runs }) => runs), comparison: read.length === 1 ? read[0]?.comparison : undefined };
}

function parse(words: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      options: OPTIONS,
      allowPositionals: true,
      strict: true,
    });
    if (positionals.length === 0) throw new Error('Something is missing');
    return { values, files: positionals };
  } catch (error) {
    throw new UsageError(`${(error as Error).message}. Usage: ${USAGE}`);
  }
}

async function writeTo(file: string, text: string): Promise<void> {
  await mkdir(dirname(resolve(file)), { recursive: true });
  await writeFile(file, text);
}
