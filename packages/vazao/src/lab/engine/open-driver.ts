/**
 * The open model: requests are sent when they are due, whatever the server does. One that finds no free connection waits for
 * one, and its latency counts from when it was due; what waits longer than the time-out, or when the phases end, is unsent.
 */
import { LabError } from '../errors.ts';
import type { ErrorKind } from '../run-result.ts';
import type { Connection } from './connection.ts';
import type { Driver, OpenDriverParts } from './driver.ts';
import { describeScenarioFailure } from './exchange.ts';
import { type Alarm, createAlarm } from './metronome.ts';
import { createRandom } from './random.ts';
import { type Phase, scheduleArrivals } from './schedule.ts';
import { chooseStep, type IndexedStep, type VirtualUser } from './users.ts';

interface Arrival {
  readonly phase: number;
  /** As `performance.now()`. */
  readonly at: number;
}

interface Waiting extends Arrival {
  readonly user: VirtualUser;
  readonly step: IndexedStep;
}

/** More are unsent at once: they could not be sent before they are too old. */
const WAITING_MAX = 200_000;

export class OpenDriver implements Driver {
  inFlight = 0;
  /** Those who take turns are not told apart in the figures. */
  readonly users = 0;
  readonly #parts: OpenDriverParts;
  readonly #alarm: Alarm;
  #queue: Waiting[] = [];
  #queueFrom = 0;
  #arrivals: Iterator<Arrival, void, undefined> = [][Symbol.iterator]();
  #next: Arrival | undefined;
  #endsAt = 0;
  #turn = 0;
  #drives = 0;
  #driven: (() => void) | undefined;

  constructor(parts: OpenDriverParts) {
    this.#parts = parts;
    this.#alarm = createAlarm(parts.metronome, parts.thread, () => this.#sendDue());
  }

  get waiting(): number {
    return this.#queue.length - this.#queueFrom;
  }

  drive(phases: readonly Phase[], beginAt: number): Promise<void> {
    this.#drives += 1;
    this.#arrivals = this.#schedule(phases, beginAt);
    this.#next = this.#arrivals.next().value ?? undefined;
    this.#endsAt = beginAt + 1_000 * phases.reduce((sum, { durationS }) => sum + durationS, 0);
    const driven = new Promise<void>((resolve) => {
      this.#driven = resolve;
    });
    this.#arm();
    return driven;
  }

  stop(): void {
    this.#next = undefined;
    this.#endsAt = 0;
    this.#sendDue();
  }

  *#schedule(phases: readonly Phase[], beginAt: number): Generator<Arrival, void, undefined> {
    const { thread, threads, seed } = this.#parts;
    let from = beginAt;
    for (const [phase, { load, durationS }] of phases.entries()) {
      if (load.model === 'open') {
        // A stream of its own for each thread and phase, apart from those of the users, which are positive.
        const random = createRandom(seed, -1 - thread - threads * (phase + 1_000 * this.#drives));
        for (const at of scheduleArrivals(load, durationS, { index: thread, shares: threads }, random)) {
          yield { phase, at: from + at * 1_000 };
        }
      }
      from += durationS * 1_000;
    }
  }

  /** Sends all that is due: called by the alarm, and between, when an answer has the loop awake anyway. */
  #sendDue(): void {
    const now = performance.now();
    while (this.#next && this.#next.at <= now) {
      const arrival = this.#next;
      this.#next = this.#arrivals.next().value ?? undefined;
      this.#arrive(arrival);
    }
    if (this.#next === undefined && now >= this.#endsAt) this.#end();
    else this.#arm();
  }

  #arm(): void {
    this.#alarm.set(this.#next?.at ?? this.#endsAt);
  }

  #end(): void {
    this.#alarm.clear();
    for (let left = this.#shift(); left; left = this.#shift()) {
      this.#parts.recorder.unsent(left.phase, left.step.index);
    }
    if (this.inFlight > 0) return;
    this.#driven?.();
    this.#driven = undefined;
  }

  #arrive({ phase, at }: Arrival): void {
    const { users, script, recorder, connections } = this.#parts;
    const user = users[this.#turn++ % users.length] as VirtualUser;
    const step = chooseStep(script, user);
    if (!step) {
      this.#fail(
        new LabError(
          'ERR_LAB_SCENARIO',
          `User ${user.index} has the values that no step needs: add a step without \`needs\`.`,
        ),
      );
      return;
    }
    recorder.offered(phase, step.index);
    const connection = connections.acquire();
    if (connection) {
      recorder.late(performance.now() - at);
      this.#start({ phase, at, user, step }, at, connection);
      return;
    }
    recorder.waited(phase);
    this.#queue.push({ phase, at, user, step });
    if (this.waiting > WAITING_MAX) {
      const oldest = this.#shift() as Waiting;
      recorder.unsent(oldest.phase, oldest.step.index);
    }
  }

  #start(request: Waiting, scheduledAt: number | undefined, connection: Connection): void {
    this.inFlight += 1;
    try {
      const { phase, user, step } = request;
      this.#parts.exchanger.start(step, user, phase, scheduledAt, connection, (error, used) =>
        this.#finish(request, error, used),
      );
    } catch (error) {
      this.inFlight -= 1;
      this.#parts.connections.release(connection);
      this.#fail(describeScenarioFailure(error, request.step.step.name));
    }
  }

  #finish(request: Waiting, error: ErrorKind | undefined, connection: Connection): void {
    this.inFlight -= 1;
    const { connections, recorder } = this.#parts;
    const [first, ...rest] = error === undefined ? request.step.followedBy : [];
    if (first && this.#endsAt > 0) {
      recorder.offered(request.phase, first.index);
      const step = rest.length === 0 ? first : { ...first, followedBy: [...first.followedBy, ...rest] };
      const free = connection.isOpen ? connection : this.#renew(connection);
      if (free) this.#start({ ...request, step }, undefined, free);
      else recorder.unsent(request.phase, first.index);
    } else {
      connections.release(connection);
    }
    this.#sendWaiting();
    if (this.#next ? this.#next.at <= performance.now() : this.#endsAt <= performance.now()) this.#sendDue();
  }

  #renew(closed: Connection): Connection | undefined {
    this.#parts.connections.release(closed);
    return this.#parts.connections.acquire();
  }

  #sendWaiting(): void {
    const { connections, recorder, timeoutMs } = this.#parts;
    while (this.waiting > 0) {
      const oldest = this.#queue[this.#queueFrom] as Waiting;
      if (performance.now() - oldest.at > timeoutMs) {
        this.#shift();
        recorder.unsent(oldest.phase, oldest.step.index);
        continue;
      }
      const connection = connections.acquire();
      if (!connection) return;
      this.#shift();
      this.#start(oldest, oldest.at, connection);
    }
  }

  #shift(): Waiting | undefined {
    if (this.waiting === 0) return undefined;
    const oldest = this.#queue[this.#queueFrom];
    this.#queueFrom += 1;
    if (this.#queueFrom > 1_024 && this.#queueFrom * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#queueFrom);
      this.#queueFrom = 0;
    }
    return oldest;
  }

  #fail(error: LabError): void {
    this.#parts.onFailed(error);
    this.stop();
  }
}
