/** `soak` on servers that are clean, leak 1 KB with each request, or get slower; the probe tells the heap. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPlan } from '../../packages/vazao/src/lab/plans/run-plan.ts';
import type { RunResult, Trend } from '../../packages/vazao/src/lab/run-result.ts';
import { printTable, startServer, writeOneStep } from './start-server.ts';

/** As short as the statistics allow: a fifth is left out, and twelve blocks of what is left must each hold a collection. */
const DURATION_S = 60;
const RATE = 200;
const KINDS = ['leak', 'slower', ...Array<string>(20).fill('clean')];
const SERIES = ['heap', 'rss', 'handles', 'connections', 'p99'] as const;
/** What must rise. Nothing else is looked at on a server that is to be caught: a leak may make it slower, too. */
const CAUGHT_BY: Readonly<Record<string, Trend['series']>> = { leak: 'heap', slower: 'p99' };

/** False: a clean server was suspected, or a bad one was not. */
export async function measureSoaks(kinds: readonly string[] = KINDS): Promise<boolean> {
  const runs: { readonly kind: string; readonly trends: readonly Trend[]; readonly isRight: boolean }[] = [];
  for (const [at, kind] of kinds.entries()) {
    const trends = (await soakOnce(kind)).findings.trends ?? [];
    const outcomes = new Map(trends.map(({ series, outcome }) => [series, outcome]));
    const caught = CAUGHT_BY[kind];
    const isRight = caught
      ? outcomes.get(caught) === 'rising'
      : SERIES.every((series) => outcomes.get(series) === 'level');
    process.stderr.write(`${at + 1} of ${kinds.length}: ${kind}, ${isRight ? 'as it should be' : 'WRONG'}\n`);
    runs.push({ kind, trends, isRight });
  }
  const rows = [['server', 'right', ...SERIES]];
  for (const kind of new Set(kinds)) {
    const own = runs.filter((run) => run.kind === kind);
    const right = own.filter(({ isRight }) => isRight);
    const word = CAUGHT_BY[kind] ? 'caught' : 'passed';
    rows.push([kind, `${word}: ${right.length} of ${own.length}`, ...(right[0] ? tell(right[0].trends) : [])]);
    for (const { trends } of own.filter(({ isRight }) => !isRight)) rows.push([kind, '**wrong**', ...tell(trends)]);
  }
  console.log(`${DURATION_S} s each after 5 s of warm-up, ${RATE} requests/s; the trends are those of the first.\n`);
  printTable(rows);
  return runs.every(({ isRight }) => isRight);
}

function tell(trends: readonly Trend[]): string[] {
  const said = new Map(trends.map(({ series, why }) => [series, why]));
  return SERIES.map((series) => said.get(series) ?? 'not measured');
}

async function soakOnce(kind: string): Promise<RunResult> {
  using scenario = writeOneStep();
  const probe = new URL('../../packages/vazao/src/lab/entry/heap-probe.ts', import.meta.url).href;
  const folder = mkdtempSync(join(tmpdir(), 'vazao-soak-'));
  try {
    await using server = await startServer([kind], { NODE_OPTIONS: `--import=${probe}`, VAZAO_LAB_PROBE: folder });
    return await runPlan({
      module: scenario.path,
      target: server.origin,
      plan: 'soak',
      rate: RATE,
      durationS: DURATION_S,
      warmUpS: 5,
      criteria: [],
      serverPid: server.pid,
      probeFolder: folder,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
