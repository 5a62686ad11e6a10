/** `soak` on servers that are clean, leak 1 KB with each request, or get slower; the probe tells the heap. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPlan } from '../../packages/vazao/src/lab/plans/run-plan.ts';
import { printTable, startServer, writeOneStep } from './start-server.ts';

const DURATION_S = 120;
const KINDS = ['clean', 'leak', 'slower', ...Array<string>(9).fill('clean')];

export async function measureSoaks(kinds: readonly string[] = KINDS): Promise<void> {
  using scenario = writeOneStep();
  const probe = new URL('../../packages/vazao/src/lab/entry/heap-probe.ts', import.meta.url).href;
  const rows = [['server', 'verdict', 'heap', 'rss', 'handles', 'connections', 'p99']];
  for (const kind of kinds) {
    const folder = mkdtempSync(join(tmpdir(), 'vazao-soak-'));
    try {
      await using server = await startServer([kind], { NODE_OPTIONS: `--import=${probe}`, VAZAO_LAB_PROBE: folder });
      const run = await runPlan({
        module: scenario.path,
        target: server.origin,
        plan: 'soak',
        rate: 200,
        durationS: DURATION_S,
        warmUpS: 5,
        criteria: [],
        serverPid: server.pid,
        probeFolder: folder,
      });
      const said = new Map(run.findings.trends?.map(({ series, outcome, why }) => [series, `${outcome}: ${why}`]));
      rows.push([
        kind,
        run.verdict,
        ...(['heap', 'rss', 'handles', 'connections', 'p99'] as const).map((name) => said.get(name) ?? '–'),
      ]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  printTable(rows);
}
