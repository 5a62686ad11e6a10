/**
 * Who may be worked on now. A process that takes on everything finishes nothing: beyond some number of requests in flight
 * each only waits longer for the same connections and the same core. So there is room for so many, and who finds none waits
 * briefly in the line of its class, or is refused at once with an honest answer.
 *
 *   tryEnter() ─┬─ room ──────────────────────────────────────► in flight ──release()──► done
 *               ├─ none ──► wait() ──► waiting (waiting-line.ts) ─┴─ too old ──► refused
 *               └─ none, and none in time ──► refused
 *
 * Room is reserved by class: `reserved[class]` places that only this class may take, and beyond them the shared places,
 * up to `max[class]` of them in all. So writes go on while reads overflow, and `health` always gets in.
 */
import { REQUEST_CLASSES, type RequestClass } from './request-class.ts';
import { type RefusalReason, WaitingLine } from './waiting-line.ts';

export interface ClassRoom {
  /** Places that no other class may take. */
  readonly reserved: number;
  /** The most places that it may take. */
  readonly max: number;
  /** Its claim to freed places beside the other classes. */
  readonly weight: number;
}

export interface AdmissionOptions {
  /** Places of all classes but `health`, the reserved ones among them. */
  readonly inFlightMax: number;
  readonly rooms: Readonly<Record<RequestClass, ClassRoom>>;
  /** Longest wait of a burst. */
  readonly waitMaxMs: number;
  /** Longest wait under overload, where the work's own pace does not ask for more. */
  readonly waitTargetMs: number;
  /** Waiting requests of one class. */
  readonly queueLengthMax: number;
  readonly now?: (() => number) | undefined;
}

export interface ClassFigures {
  readonly inFlight: number;
  readonly waiting: number;
  readonly admitted: number;
  readonly refused: number;
}

/** Gives the place back; a second call does nothing. */
export type Release = () => void;

interface ClassState {
  readonly room: ClassRoom;
  readonly line: WaitingLine;
  inFlight: number;
  admitted: number;
  refused: number;
}

/** How much of the last interval between two releases counts in their mean. */
const PACE_SMOOTHING = 0.1;

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #now: () => number;
  readonly #states: Readonly<Record<RequestClass, ClassState>>;
  readonly #sharedMax: number;
  #sharedInUse = 0;
  /** Mean time between two places given back, while all are in use. */
  #paceMs = 0;
  /** When a place was given back last, or the last free one was taken. */
  #paceSince: number;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#paceSince = this.#now();
    const entries = REQUEST_CLASSES.map((name) => {
      const line = new WaitingLine({
        ageMaxMs: options.waitMaxMs,
        targetMs: () => this.#targetMs(),
        paceMs: () => this.#paceMs,
        lengthMax: options.queueLengthMax,
        now: options.now,
      });
      return [name, { room: options.rooms[name], line, inFlight: 0, admitted: 0, refused: 0 }] as const;
    });
    this.#states = Object.fromEntries(entries) as Record<RequestClass, ClassState>;
    const reserved = entries.reduce((sum, [name, { room }]) => sum + (name === 'health' ? 0 : room.reserved), 0);
    this.#sharedMax = Math.max(0, options.inFlightMax - reserved);
  }

  /** A place at once; undefined when there is none, or others wait for it. */
  tryEnter(name: RequestClass): Release | undefined {
    const state = this.#states[name];
    if (state.line.length > 0 || !this.#hasRoom(state)) return undefined;
    state.line.note(false);
    return this.#enter(state);
  }

  /** Whether there will be no place in time; it then counts as refused. Ask after {@link Admission.tryEnter}. */
  refusesAtOnce(name: RequestClass): boolean {
    const state = this.#states[name];
    if (!state.line.isHopeless) return false;
    state.line.note(true);
    state.refused++;
    return true;
  }

  /**
   * Waits for a place. Call it after {@link Admission.refusesAtOnce}.
   * @returns what ends the waiting: its client is gone
   */
  wait(
    name: RequestClass,
    onEntered: (release: Release) => void,
    onRefused: (reason: RefusalReason) => void,
  ): () => void {
    const state = this.#states[name];
    return state.line.join(
      () => onEntered(this.#enter(state)),
      (reason) => {
        state.refused++;
        onRefused(reason);
      },
    );
  }

  figures(): Readonly<Record<RequestClass, ClassFigures>> {
    const entries = REQUEST_CLASSES.map((name) => {
      const { inFlight, line, admitted, refused } = this.#states[name];
      return [name, { inFlight, waiting: line.length, admitted, refused }] as const;
    });
    return Object.fromEntries(entries) as Record<RequestClass, ClassFigures>;
  }

  #hasRoom({ room, inFlight }: ClassState): boolean {
    if (inFlight >= room.max) return false;
    return inFlight < room.reserved || this.#sharedInUse < this.#sharedMax;
  }

  #enter(state: ClassState): Release {
    if (state.inFlight >= state.room.reserved) {
      this.#sharedInUse++;
      if (this.#sharedInUse === this.#sharedMax) this.#paceSince = this.#now();
    }
    state.inFlight++;
    state.admitted++;
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      state.inFlight--;
      if (state.inFlight >= state.room.reserved) this.#sharedInUse--;
      this.#measurePace();
      this.#fillRoom();
    };
  }

  /** Offers free places to those who wait: first to the class that has least of what its weight would give it. */
  #fillRoom(): void {
    for (;;) {
      let next: ClassState | undefined;
      let least = Number.POSITIVE_INFINITY;
      for (const name of REQUEST_CLASSES) {
        const state = this.#states[name];
        if (state.line.length === 0 || !this.#hasRoom(state)) continue;
        const share = (state.inFlight + 1) / state.room.weight;
        if (share < least) {
          least = share;
          next = state;
        }
      }
      if (!next) return;
      next.line.take(); // false: all of it was too old, and the line is empty now
    }
  }

  #measurePace(): void {
    const now = this.#now();
    const isBusy = this.#sharedInUse + 1 >= this.#sharedMax;
    if (isBusy) this.#paceMs += PACE_SMOOTHING * (Math.min(now - this.#paceSince, 1_000) - this.#paceMs);
    this.#paceSince = now;
  }

  /** Where places come free rarely, a fixed target would leave them empty: nobody would be young enough when one does. */
  #targetMs(): number {
    return Math.min(this.#options.waitMaxMs, Math.max(this.#options.waitTargetMs, 2 * this.#paceMs));
  }
}
