import type { RunResult } from '../run-result.ts';

/** `Conectades, load, workers+cache`. */
export function nameOf({ scenario, plan, architecture }: RunResult): string {
  return `${scenario.name}, ${plan.kind}${architecture === undefined ? '' : `, ${architecture}`}`;
}

/** The name with the load: runs of which this differs did not do the same. `stress` looks for its load. */
export function nameWithLoad(run: RunResult): string {
  const { kind, model, thinkMs = 0 } = run.plan;
  const { users, offeredRate } = run.phases.findLast(({ warmUp }) => !warmUp) ?? {};
  const load =
    kind === 'stress'
      ? `${model} model`
      : users !== undefined
        ? `${users} users who think ${thinkMs / 1_000} s`
        : offeredRate !== undefined
          ? `${Number(offeredRate.toPrecision(3))} requests/s offered`
          : `${model} model`;
  return `${nameOf(run)}, ${load}`;
}
