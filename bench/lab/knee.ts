/** `stress` on servers that serve a known number of requests a second. */
import { runPlan } from '../../packages/vazao/src/lab/plans/run-plan.ts';
import { printTable, startServer, writeOneStep } from './start-server.ts';

const TOLERANCE = 0.1;

/** False: a knee was not found within a tenth. */
export async function measureKnees(): Promise<boolean> {
  let allFound = true;
  using scenario = writeOneStep();
  const rows = [['capacity', 'knee found', 'ratio', 'within 10 %', 'why']];
  for (const capacity of [50, 200, 1_000]) {
    await using server = await startServer(['capacity', String(capacity)]);
    const { findings } = await runPlan({
      module: scenario.path,
      target: server.origin,
      plan: 'stress',
      rate: 20,
      durationS: 8,
      warmUpS: 2,
      criteria: [{ metric: 'p99', max: 250 }],
    });
    const { knee } = findings;
    const ratio = (knee?.throughput ?? 0) / capacity;
    const isFound = Math.abs(ratio - 1) <= TOLERANCE;
    allFound &&= isFound;
    rows.push([
      `${capacity}/s`,
      `${knee?.throughput.toFixed(1)}/s`,
      ratio.toFixed(3),
      isFound ? 'yes' : '**no**',
      knee?.why ?? '',
    ]);
  }
  printTable(rows);
  return allFound;
}
