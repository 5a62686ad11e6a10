import { LabError } from '../errors.ts';
import type { CriterionVerdict, PhaseFigures, RunEnd } from '../run-result.ts';
import { judge } from './criteria.ts';
import type { Plan } from './plan.ts';
import { makePhase, makeWarmUp } from './plan.ts';

const FACTORS = [1, 10, 100];

/** The same load on more and more data. Each size is judged by itself. */
export const volume: Plan = async ({ session, load, times, criteria, signal, onPlanned, monitor, resize }) => {
  if (!resize) {
    throw new LabError('ERR_LAB_OPTION', 'A volume plan needs a command that makes the data larger: --volume-command.');
  }
  const phases: PhaseFigures[] = [];
  const verdicts: CriterionVerdict[] = [];
  let ended: RunEnd = 'complete';
  for (const [done, factor] of FACTORS.entries()) {
    onPlanned((FACTORS.length - done) * (times.warmUpS + times.durationS));
    await resize(factor);
    const name = `data ×${factor}`;
    const warmUp = makeWarmUp(times.warmUpS, load, `warm-up of ${name}`);
    const driven = await session.drive([...warmUp, makePhase(name, times.durationS, load)], signal);
    phases.push(...driven.phases);
    const measured = driven.phases.at(-1) as PhaseFigures;
    const server = monitor().samples.filter(({ atS }) => atS >= measured.fromS && atS <= measured.toS);
    verdicts.push(...judge(criteria, measured, server, name));
    if (driven.stopped) {
      ended = 'interrupted';
      break;
    }
  }
  return { phases, ended, findings: {}, verdicts };
};
