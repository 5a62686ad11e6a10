/** A schedule of the user's own, as words: `10s:0..100/s warm-up, 60s:100/s, 10s:1000/s, 60s:100/s`. */
import type { Phase } from '../engine/schedule.ts';
import { LabError } from '../errors.ts';
import { makePhase, type PlanLoad } from './plan.ts';

export interface SchedulePart {
  /** As it was written, without surplus spaces. */
  readonly text: string;
  readonly durationS: number;
  /** At the beginning and at the end: arrivals per second, or users. */
  readonly from: number;
  readonly to: number;
  readonly unit: '/s' | 'users';
  readonly warmUp: boolean;
}

const PART = /^(\d+(?:\.\d+)?)(ms|s|min|h):\s*(\d+(?:\.\d+)?)(?:\.\.(\d+(?:\.\d+)?))?\s*(\/s|users?)(\s+warm-up)?$/;
const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, min: 60, h: 3_600 };
const PARTS_MAX = 1_000;

/** Throws {@link LabError}. */
export function parseSchedule(text: string): readonly SchedulePart[] {
  const parts = text.split(',').map((word) => parsePart(word.trim().replaceAll(/\s+/g, ' ')));
  if (parts.length > PARTS_MAX)
    throw new LabError('ERR_LAB_OPTION', `A schedule has at most ${PARTS_MAX} parts, and not ${parts.length}.`);
  if (parts.some(({ unit }) => unit !== parts[0]?.unit)) {
    throw new LabError('ERR_LAB_OPTION', 'A schedule has requests (/s) or users in all of its parts, and not both.');
  }
  if (parts.every(({ warmUp }) => warmUp))
    throw new LabError('ERR_LAB_OPTION', 'All parts of the schedule are warm-up: nothing would be measured.');
  return parts;
}

/** The phases, each with a name of its own. */
export function makeScheduledPhases(
  parts: readonly SchedulePart[],
  { thinkMs, timing }: Pick<PlanLoad, 'thinkMs' | 'timing'>,
): readonly Phase[] {
  return parts.map(({ text, durationS, from, to, unit, warmUp }, index) => {
    const load = { thinkMs, timing, ...(unit === '/s' ? { rate: to } : { users: to }) };
    return makePhase(`${index + 1}. ${text}`, durationS, load, { from, warmUp });
  });
}

function parsePart(text: string): SchedulePart {
  const [, duration, unit, from, to, of, warmUp] = PART.exec(text) ?? [];
  const durationS = Number(duration) * (SECONDS[unit ?? ''] ?? Number.NaN);
  if (!(durationS > 0)) {
    throw new LabError(
      'ERR_LAB_OPTION',
      `${JSON.stringify(text)} is no part of a schedule: write 30s:100/s, 60s:100..500/s or 60s:10..200 users, and \`warm-up\` behind what is not measured.`,
    );
  }
  return {
    text,
    durationS,
    from: Number(from),
    to: Number(to ?? from),
    unit: of === '/s' ? '/s' : 'users',
    warmUp: warmUp !== undefined,
  };
}
