import type { CriterionVerdict, RunResult } from '../run-result.ts';
import type { BaselineVerdict } from './baseline.ts';
import { escapeMarkup } from './escape.ts';

interface Case {
  readonly name: string;
  readonly failure?: string | undefined;
  /** The run says nothing: the generator was late. */
  readonly error?: string | undefined;
}

/** JUnit XML (the schema that Jenkins and GitLab read): a suite for each run, a case for each criterion; the baseline is a suite, too. */
export function renderJunit(runs: readonly RunResult[], baseline: readonly BaselineVerdict[] = []): string {
  const suites = runs.map((run) => suite(nameOf(run), run.durationS, run.startedAt, casesOf(run)));
  if (baseline.length > 0) {
    const cases = baseline.map(({ figure, outcome, sentence }) => ({
      name: `${figure.name} is no worse than the baseline`,
      failure: outcome === 'worse' ? sentence : undefined,
      error: outcome === 'unknown' ? sentence : undefined,
    }));
    suites.push(suite('baseline', 0, runs[0]?.startedAt ?? '', cases));
  }
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="vazao lab">\n${suites.join('')}</testsuites>\n`;
}

function casesOf(run: RunResult): Case[] {
  const late = run.generator.void?.join(' ');
  if (late !== undefined) return [{ name: 'the generator kept up', error: late }];
  return [{ name: 'the generator kept up' }, ...run.criteria.map(caseOf)];
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

export function nameOf({ scenario, plan, architecture }: RunResult): string {
  return `${scenario.name}, ${plan.kind}${architecture === undefined ? '' : `, ${architecture}`}`;
}
