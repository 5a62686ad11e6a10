/**
 * Who could do no more when `stress` ended: the server, or the generator that asked it?
 *
 * The generator's processor is told apart by its own health in that step. Its connections are harder: a server that is saturated
 * keeps all of them busy, too. But a saturated server does so all at once, when more comes than it serves; where connections are
 * what is short, they were nearly all in use already at the step that held, by Little's law.
 */
import type { Criterion, PhaseFigures } from '../run-result.ts';
import { judge } from './criteria.ts';
import type { Found } from './stress.ts';

/** A step of the search, as it was measured. */
export interface DrivenStep {
  readonly level: number;
  readonly figures: PhaseFigures;
  /** Why it says nothing about the server. */
  readonly late: readonly string[];
}

export interface LimitOptions {
  readonly found: Found;
  readonly steps: readonly DrivenStep[];
  readonly isOpen: boolean;
  readonly bounds: readonly Criterion[];
  readonly levelMax: number;
  readonly connectionsMax: number;
}

/** Fewer may meet a burst. */
const WAITED_SHARE_MIN = 0.01;
/** Of the connections, in use on average at the step that held: a saturated server shows a jump from fewer to all. */
const IN_USE_SHARE_MIN = 0.5;

/** Why the end of the search is the generator's, as a sentence; undefined when it is the server's, or there is none. */
export function findGeneratorLimit(options: LimitOptions): string | undefined {
  const { found, steps, isOpen, levelMax, connectionsMax } = options;
  const { held, broke, ended } = found;
  if (!ended) return undefined;
  if (!broke) {
    if (held === undefined || held.level < levelMax) return undefined;
    return isOpen
      ? `it offers no more than ${levelMax} requests/s.`
      : `each user needs one of its ${connectionsMax} connections (--connections).`;
  }
  const at = steps.find(({ level }) => level === broke.level);
  // That throughput has levelled off is told by the steps above, too.
  const telling = isOpen || !broke.saturated ? [at] : steps.filter(({ level }) => level >= broke.level);
  const late = telling.flatMap((step) => step?.late ?? [])[0];
  if (late !== undefined) return `${late.charAt(0).toLowerCase()}${late.slice(1)}`;
  return at && isOpen ? findConnectionLimit(at.figures, options) : undefined;
}

function findConnectionLimit(
  figures: PhaseFigures,
  { found, steps, bounds, connectionsMax }: LimitOptions,
): string | undefined {
  const share = (figures.waited ?? 0) / figures.offered;
  if (!(share > WAITED_SHARE_MIN)) return undefined;
  const held = steps.find(({ level }) => level === found.held?.level)?.figures;
  if (held && inUse(held) < IN_USE_SHARE_MIN * connectionsMax) return undefined;
  // Counted from the send, the server's own answers broke what is asked for.
  const own = { ...figures, latency: figures.service, offered: figures.sent, unsent: 0 };
  if (judge(bounds, own, []).some(({ outcome }) => outcome === 'failed')) return undefined;
  return `${(share * 100).toFixed(0)} % of the requests waited for one of its ${connectionsMax} connections (--connections).`;
}

/** Connections, on average: X·R. */
function inUse({ completed, durationS, service }: PhaseFigures): number {
  return ((completed / durationS) * service.meanMs) / 1_000;
}
