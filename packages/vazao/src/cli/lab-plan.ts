/** `vazao lab plan`: what so many users need, from what was measured. */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type CapacityPlan, type CapacityQuestion, planCapacity } from '../lab/capacity/plan-capacity.ts';
import { showBytes } from '../lab/report/numbers.ts';
import { readResults } from '../lab/report/read-results.ts';
import type { Interval } from '../lab/statistics/bootstrap.ts';
import { readTime } from './lab-compare-words.ts';
import { CRITERIA_FAILED } from './lab-run.ts';
import { UsageError } from './usage-error.ts';

const USAGE =
  'vazao lab plan --from results.json --users 10000 --think 15s [--growth 20%/y] [--years 1] [--peak 10x] [--cores N] [--architecture workers+cache] [--json]';

const OPTIONS = {
  from: { type: 'string' },
  users: { type: 'string' },
  think: { type: 'string' },
  growth: { type: 'string' },
  years: { type: 'string' },
  peak: { type: 'string' },
  cores: { type: 'string' },
  architecture: { type: 'string' },
  json: { type: 'boolean' },
} as const;

/** Resolves with the exit code: 99 when the measurements don't support the plan. */
export async function planLab(words: readonly string[]): Promise<number> {
  const { values } = parse(words);
  if (values.from === undefined) throw new UsageError(`--from names no results. Usage: ${USAGE}`);
  const { runs } = readResults(await readFile(values.from, 'utf8'), values.from);
  const names = [...new Set(runs.map(({ architecture }) => architecture))];
  const architecture = values.architecture ?? names[0];
  if (values.architecture === undefined && names.length > 1) {
    throw new UsageError(
      `${values.from} has several architectures: choose one with --architecture: ${names.join(', ')}.`,
    );
  }
  const question: CapacityQuestion = {
    users: readAmount('users', values.users, /^(\d+)$/, 1) ?? fail('users'),
    thinkS: readTime('think', values.think) ?? fail('think'),
    growthPerYear: readAmount('growth', values.growth, /^(\d+(?:\.\d+)?)%(?:\/y)?$/, 0.01),
    years: readAmount('years', values.years, /^(\d+(?:\.\d+)?)$/, 1),
    peak: readAmount('peak', values.peak, /^(\d+(?:\.\d+)?)x?$/, 1),
    coresPerHost: readAmount('cores', values.cores, /^([1-9]\d{0,3})$/, 1),
  };
  const plan = planCapacity(
    runs.filter((run) => run.architecture === architecture),
    question,
  );
  process.stdout.write(values.json ? `${JSON.stringify(plan, null, 2)}\n` : describe(plan));
  return plan.refusals.length === 0 ? 0 : CRITERIA_FAILED;
}

function describe(plan: CapacityPlan): string {
  const lines = [
    `requests   ${plan.requestsPerS.toFixed(0)} a second at the peak`,
    `workers    ${plan.workers} (${plan.cores.toFixed(2)} cores${describeInterval(plan.coresInterval, 2) || '; how uncertain is not known: there are too few steps'})`,
    `hosts      ${plan.hosts}`,
    `ceiling    ${plan.ceilingPerS === undefined ? 'not seen: throughput still climbs, or there are too few steps' : `${plan.ceilingPerS.toFixed(0)} requests/s a host${describeInterval(plan.ceilingInterval, 0)}`}`,
    `pool       ${plan.pool === undefined ? 'not known: no stages were measured' : `${plan.pool} connections, all hosts together${describeInterval(plan.poolInterval, 0)}`}`,
    `memory     ${describeMemory(plan.memory)}`,
    `cache      ${describeCache(plan.cache)}`,
    '',
    'It takes for granted that',
    ...plan.assumptions.map((assumption) => `  - ${assumption}`),
  ];
  if (plan.refusals.length > 0) {
    lines.push('', 'NOT SUPPORTED by these measurements:', ...plan.refusals.map((refusal) => `  - ${refusal}`));
  }
  return `${lines.join('\n')}\n`;
}

function describeInterval(interval: Interval | undefined, digits: number): string {
  return interval === undefined ? '' : `; 95 %: ${interval.low.toFixed(digits)}–${interval.high.toFixed(digits)}`;
}

function describeMemory(memory: CapacityPlan['memory']): string {
  if (!memory) {
    return 'not known: the memory of a worker was not measured (with --serve or --pid, of a server that tells its workers at /health)';
  }
  const { perHostBytes, workerBytes, otherBytes } = memory;
  return `${showBytes(perHostBytes)} a host: ${showBytes(workerBytes)} a worker, ${showBytes(otherBytes)} for the rest, and a quarter free`;
}

function describeCache(cache: CapacityPlan['cache']): string {
  if (!cache) return 'not known: no /health told of a cache';
  const { bytes, entries, bytesMax, fits } = cache;
  const kept = `${showBytes(bytes)} a worker, for ${entries} answers`;
  return fits
    ? `${kept}: the working set, nothing had to go`
    : `more than ${kept}: some had to go for others, the working set does not fit into ${showBytes(bytesMax)}; measure with a larger one`;
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options: OPTIONS, strict: true });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}. Usage: ${USAGE}`);
  }
}

function readAmount(name: string, text: string | undefined, form: RegExp, factor: number): number | undefined {
  if (text === undefined) return undefined;
  const number = form.exec(text.trim())?.[1];
  if (number !== undefined) return Number(number) * factor;
  throw new UsageError(`--${name} is ${JSON.stringify(text)}. Usage: ${USAGE}`);
}

function fail(name: string): never {
  throw new UsageError(`--${name} is missing. Usage: ${USAGE}`);
}
