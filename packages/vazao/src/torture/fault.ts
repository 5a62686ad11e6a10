/** What a kind of fault is. */
import type { Profile } from './profile.ts';
import type { Random } from './random.ts';
import type { Stage } from './stage.ts';

export interface FaultWorld {
  readonly stage: Stage;
  readonly profile: Profile;
  /** Told when the old primary is gone. */
  readonly onFailover: () => void;
  /** What is added to the environment of a host that starts again. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface FaultPlan {
  /** What of the stage it needs for itself. */
  readonly takes: readonly string[];
  readonly detail: string;
  run(world: FaultWorld, random: Random): Promise<void>;
  /** What goes on when requests are served again; what it takes stays taken. */
  readonly mend?: ((world: FaultWorld) => Promise<void>) | undefined;
}

export interface FaultKind {
  readonly name: string;
  /** Requests may fail meanwhile; else a failed one is a violation. */
  readonly excuses: boolean;
  /** Which part is not there; undefined when all are. */
  missing(world: FaultWorld): string | undefined;
  /** What to do; undefined when nothing of the kind is possible now. */
  plan(world: FaultWorld, random: Random): FaultPlan | undefined;
}

export const needsNothing = (): undefined => undefined;
