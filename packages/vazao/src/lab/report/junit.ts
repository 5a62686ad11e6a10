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
}

/** JUnit XML (the schema that Jenkins and GitLab read): a suite for each run, a case for each criterion and for what the plan was there to find; the baseline is a suite, too. */
export function renderJunit(runs: readonly RunResult[], baseline: readonly BaselineVerdict[] = []): string {
  const suites = runs.map((run) => suite(nameOf(run), run.durationS, run.startedAt, casesOf(run)));
  if (baseline.length > 0) {
    const cases = baseline.map(({ name, outcome, sentence }) => ({
      name: `${name} is no worse than the baseline`,
      failure: outcome === 'worse' ? sentence : undefined,
      error: outcome === 'unknown' ? sentence : undefined,
    }));
    suites.push(suite('baseline', 0, runs[0]?.startedAt ?? '', cases));
  }
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

function caseOf({ metric, min, max, value, outcome, phase }: CriterionVerdict): Case {
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
  const count = (of: 'failure' | 'error'): number => cases.filter((item) => item[of] !== undefined).length;
  const lines = cases.map((item) => {
    const open = `    <testcase classname="${escapeMarkup(name)}" name="${escapeMarkup(item.name)}" time="0"`;
    const [kind, why] = item.error !== undefined ? ['error', item.error] : ['failure', item.failure];
    return why === undefined ? `${open}/>\n` : `${open}><${kind} message="${escapeMarkup(why)}"/></testcase>\n`;
  });
  return `  <testsuite name="${escapeMarkup(name)}" tests="${cases.length}" failures="${count('failure')}" errors="${count('error')}" skipped="0" time="${seconds}" timestamp="${escapeMarkup(timestamp.replace(/\.\d+Z$/, ''))}">\n${lines.join('')}  </testsuite>\n`;
}
