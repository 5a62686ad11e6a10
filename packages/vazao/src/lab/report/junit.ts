import { type ComparisonResult, countingRuns, judgeCandidate } from '../compare/comparison.ts';
import type { CriterionVerdict, RunResult } from '../run-result.ts';
import type { BaselineVerdict } from './baseline.ts';
import { escapeMarkup } from './escape.ts';
import { findingsOf } from './findings.ts';
import { nameOf } from './name-run.ts';

interface Case {
  readonly name: string;
  readonly failure?: string | undefined;
  /** The run says nothing: the generator was late. */
  readonly error?: string | undefined;
  /** Shown, and no reason to stop a build. */
  readonly skipped?: string | undefined;
}

/** JUnit XML (the schema that Jenkins and GitLab read): a suite for each run, a case for each criterion and for what the plan was there to find; the baseline is a suite, too. */
export function renderJunit(runs: readonly RunResult[], baseline: readonly BaselineVerdict[] = []): string {
  const suites = runs.map((run) => suite(nameOf(run), run.durationS, run.startedAt, casesOf(run)));
  if (baseline.length > 0) suites.push(suite('baseline', 0, runs[0]?.startedAt ?? '', baseline.map(baselineCase)));
  return documentOf(suites);
}

/**
 * A suite for each architecture, judged on the medians over its rounds, and one for the revisions. What fails is what fails the
 * comparison; what is worth knowing of the others is a skipped case.
 */
export function renderComparisonJunit(result: ComparisonResult, baseline: readonly BaselineVerdict[] = []): string {
  const { candidates, skipped, judged, revisions, startedAt, scenario } = result;
  const suites = candidates.map((candidate) => {
    const cases: Case[] = [{ name: 'its server starts', error: candidate.failed }];
    const [reason] =
      countingRuns(candidate).length > 0 ? [] : candidate.runs.flatMap(({ generator }) => generator.void);
    if (reason !== undefined) cases.push({ name: 'the generator kept up', error: reason });
    else cases.push(...judgeCandidate(candidate, result.criteria).map(caseOf));
    const seconds = candidate.runs.reduce((sum, { durationS }) => sum + durationS, 0);
    const own = candidate.name === judged ? cases : cases.map((item) => lenient(item, candidate.failed));
    return suite(`${scenario}, compare, ${candidate.name}`, seconds, startedAt, own);
  });
  if (revisions) {
    const cases = revisions.map(({ name, outcome, sentence }) => ({
      name: `${name} is no worse than before`,
      failure: outcome === 'not worse' ? undefined : sentence,
    }));
    suites.push(suite('revisions', 0, startedAt, cases));
  }
  if (skipped.length > 0) {
    const cases = skipped.map(({ name, why }) => ({ name: `${name} is there`, skipped: why }));
    suites.push(suite('left out', 0, startedAt, cases));
  }
  if (baseline.length > 0) {
    const cases = baseline.map((verdict) => {
      const item = baselineCase(verdict);
      return judged === undefined || verdict.architecture === judged ? item : lenient(item, undefined);
    });
    suites.push(suite('baseline', 0, startedAt, cases));
  }
  return documentOf(suites);
}

/** That a server does not start is a failure of the comparison, whoever it is. */
function lenient({ name, failure, error }: Case, failed: string | undefined): Case {
  return error !== undefined && error === failed ? { name, error } : { name, skipped: failure ?? error };
}

function baselineCase({ name, outcome, sentence }: BaselineVerdict): Case {
  return {
    name: `${name} is no worse than the baseline`,
    failure: outcome === 'worse' ? sentence : undefined,
    error: outcome === 'unknown' ? sentence : undefined,
  };
}

function documentOf(suites: readonly string[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="vazao lab">\n${suites.join('')}</testsuites>\n`;
}

function casesOf(run: RunResult): Case[] {
  const name = 'the generator kept up';
  // A smoke test counts however late the generator was.
  if (run.verdict === 'void') return [{ name, error: run.generator.void?.join(' ') ?? 'The run is void.' }];
  const found = findingsOf(run).map(
    ({ name, outcome, sentence }): Case => ({ name, failure: outcome === 'failed' ? sentence : undefined }),
  );
  const cases = [{ name }, ...run.criteria.map(caseOf), ...found];
  // Whatever a plan fails for, the build sees it.
  const isHidden = run.verdict === 'failed' && cases.every(({ failure }) => failure === undefined);
  return isHidden ? [...cases, { name: `the plan ${run.plan.kind} passes`, failure: 'its verdict is failed' }] : cases;
}

function caseOf({
  metric,
  min,
  max,
  value,
  outcome,
  phase,
}: Omit<CriterionVerdict, 'value'> & { readonly value?: number | undefined }): Case {
  const bounds = [min === undefined ? '' : `at least ${min}`, max === undefined ? '' : `at most ${max}`].filter(
    Boolean,
  );
  const name = `${metric} is ${bounds.join(' and ')}${phase === undefined ? '' : ` in ${phase}`}`;
  return {
    name,
    failure: outcome === 'passed' ? undefined : outcome === 'unknown' ? 'not measured' : `it is ${value}`,
  };
}

function suite(name: string, seconds: number, timestamp: string, cases: readonly Case[]): string {
  const count = (of: 'failure' | 'error' | 'skipped'): number => cases.filter((item) => item[of] !== undefined).length;
  const lines = cases.map((item) => {
    const open = `    <testcase classname="${escapeMarkup(name)}" name="${escapeMarkup(item.name)}" time="0"`;
    const kind = (['error', 'failure', 'skipped'] as const).find((one) => item[one] !== undefined);
    const why = kind && item[kind];
    return why === undefined ? `${open}/>\n` : `${open}><${kind} message="${escapeMarkup(why)}"/></testcase>\n`;
  });
  return `  <testsuite name="${escapeMarkup(name)}" tests="${cases.length}" failures="${count('failure')}" errors="${count('error')}" skipped="${count('skipped')}" time="${seconds}" timestamp="${escapeMarkup(timestamp.replace(/\.\d+Z$/, ''))}">\n${lines.join('')}  </testsuite>\n`;
}
