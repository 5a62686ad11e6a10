import type { LabError } from '../errors.ts';
import type { Connections } from './connections.ts';
import type { Exchanger } from './exchange.ts';
import type { Recorder } from './recorder.ts';
import type { Phase } from './schedule.ts';
import type { Script, VirtualUser } from './users.ts';

/** Sends what phases ask for. */
export interface Driver {
  /** Resolves when the last answer has come, or was given up. @param beginAt - as `performance.now()` */
  drive(phases: readonly Phase[], beginAt: number): Promise<void>;
  /** Nothing more is sent. */
  stop(): void;
  readonly inFlight: number;
  readonly waiting: number;
  readonly users: number;
}

export interface DriverParts {
  readonly script: Script;
  readonly exchanger: Exchanger;
  readonly connections: Connections;
  readonly recorder: Recorder;
  readonly timeoutMs: number;
  readonly thread: number;
  readonly threads: number;
  readonly seed: number;
  /** Called at most once: the run can't go on. */
  readonly onFailed: (error: LabError) => void;
}

/** Of the open model: users who take turns. */
export interface OpenDriverParts extends DriverParts {
  readonly users: readonly VirtualUser[];
  readonly metronome: SharedArrayBuffer;
}
