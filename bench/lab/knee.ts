/** `stress` on servers that serve a known number of requests a second. */
import { runPlan } from '../../packages/vazao/src/lab/plans/run-plan.ts';
import { printTable, startServer, writeOneStep } from './start-server.ts';

export async function measureKnees(): Promise<void> {
  using scenario = writeOneStep();
  const rows = [['capacity', 'knee found', 'ratio', 'why']];
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
    rows.push([
      `${capacity}/s`,
      `${knee?.throughput.toFixed(1)}/s`,
      ((knee?.throughput ?? 0) / capacity).toFixed(3),
      knee?.why ?? '',
    ]);
  }
  printTable(rows);
}
