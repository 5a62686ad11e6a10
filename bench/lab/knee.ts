/** `stress` on servers that serve a known number of requests a second. */
import { runPlan } from '../../packages/vazao/src/lab/plans/run-plan.ts';
import { printTable, startServer, writeOneStep } from './start-server.ts';

const TOLERANCE = 0.1;
const CAPACITIES = ['50', '200', '1000'];
/** Arrivals are random, and a server that takes always as long (M/D/1) has its p99 at so many services when it is busy to 0.95. */
const SERVICES_MAX = 50;

/** False: a knee was not found within a tenth. */
export async function measureKnees(capacities: readonly string[] = CAPACITIES): Promise<boolean> {
  let allFound = true;
  using scenario = writeOneStep();
  const rows = [['capacity', 'knee found', 'ratio', 'within 10 %', 'why']];
  for (const capacity of capacities.map(Number)) {
    await using server = await startServer(['capacity', String(capacity)]);
    const { findings } = await runPlan({
      module: scenario.path,
      target: server.origin,
      plan: 'stress',
      rate: 20,
      durationS: 8,
      warmUpS: 2,
      criteria: [{ metric: 'p99', max: Math.max(250, (SERVICES_MAX * 1_000) / capacity) }],
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
