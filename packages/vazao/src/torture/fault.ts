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
  /** Name of the only host that feels it. @defaultValue all of them feel it */
  readonly host?: string | undefined;
  /** Whether it is possible now. @defaultValue always */
  readonly isReady?: (() => boolean) | undefined;
  run(world: FaultWorld, random: Random): Promise<void>;
  /** What goes on when requests are served again; what it takes stays taken. */
  readonly mend?: ((world: FaultWorld) => Promise<void>) | undefined;
}

export interface FaultKind {
  readonly name: string;
  /** Requests may fail meanwhile; else a failed one is a violation. */
  readonly excuses: boolean;
  /** Processes of its host start again. @defaultValue false */
  readonly restarts?: boolean | undefined;
  /** How long it and its mending take, about: only the order of a round depends on it. */
  readonly typicalMs: number;
  /** Kinds with one of which it begins together, another in each round. @defaultValue none: it begins alone */
  readonly accompanies?: readonly string[] | undefined;
  /** Which part is not there; undefined when all are. */
  missing(world: FaultWorld): string | undefined;
  /** What to do; undefined when there is nothing of the kind. Depends on `random` and the names of the parts alone. */
  plan(world: FaultWorld, random: Random): FaultPlan | undefined;
}

export const needsNothing = (): undefined => undefined;
