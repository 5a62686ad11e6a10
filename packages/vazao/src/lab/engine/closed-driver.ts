/**
 * The closed model: a number of users, each with a connection of their own, who wait for the answer, think, and go on. It offers
 * what the server lets it: a slow server is asked less. Latency counts from the send.
 */
import { LabError } from '../errors.ts';
import type { ErrorKind } from '../run-result.ts';
import type { Driver, DriverParts } from './driver.ts';
import { describeScenarioFailure } from './exchange.ts';
import type { ClosedLoad, Phase } from './schedule.ts';
import { chooseStep, createUser, type IndexedStep, type VirtualUser } from './users.ts';

/** How often users come and go, while their number changes. */
const TICK_MS = 20;
/** Who could not be served at all tries again after this time at the earliest. */
const PAUSE_MS = 20;

export class ClosedDriver implements Driver {
  inFlight = 0;
  readonly waiting = 0;
  readonly #parts: DriverParts;
  /** Of this thread, in the order in which they come. */
  readonly #users: VirtualUser[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Users with index below this are there; of this thread. */
  #wanted = 0;
  #thinking = 0;
  #thinkingSince = 0;
  /** Users whose turns have begun and have not ended. */
  readonly #active = new Set<VirtualUser>();
  #phases: readonly Phase[] = [];
  #beginAt = 0;
  #ticker: NodeJS.Timeout | undefined;
  #driven: (() => void) | undefined;

  constructor(parts: DriverParts) {
    this.#parts = parts;
  }

  get users(): number {
    return this.#active.size;
  }

  drive(phases: readonly Phase[], beginAt: number): Promise<void> {
    this.#phases = phases;
    this.#beginAt = beginAt;
    const driven = new Promise<void>((resolve) => {
      this.#driven = resolve;
    });
    const wait = setTimeout(
      () => {
        this.#timers.delete(wait);
        this.#ticker = setInterval(() => this.#tick(), TICK_MS);
        this.#tick();
      },
      Math.max(0, beginAt - performance.now()),
    );
    this.#timers.add(wait);
    return driven;
  }

  stop(): void {
    clearInterval(this.#ticker);
    this.#wanted = 0;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#thinking = 0;
    this.#phases = [];
    if (this.inFlight === 0) this.#resolve();
  }

  #resolve(): void {
    this.#active.clear();
    this.#driven?.();
    this.#driven = undefined;
  }

  /** Position of the phase of this moment, and its load; undefined after the last. */
  #now(): { readonly phase: number; readonly load: ClosedLoad; readonly fraction: number } | undefined {
    let elapsedS = (performance.now() - this.#beginAt) / 1_000;
    for (const [phase, { durationS, load }] of this.#phases.entries()) {
      if (elapsedS < durationS && load.model === 'closed') return { phase, load, fraction: elapsedS / durationS };
      elapsedS -= durationS;
    }
    return undefined;
  }

  #tick(): void {
    const now = this.#now();
    // A thought across the end of a phase belongs to both: so it is added up while it lasts.
    this.#countThinking(now?.phase, 0);
    if (!now) {
      this.stop();
      return;
    }
    const { thread, threads, seed } = this.#parts;
    const { from, to, thinkMs } = now.load;
    const all = Math.round(from + (to - from) * now.fraction);
    // Users are dealt out like cards.
    this.#wanted = Math.max(0, Math.ceil((all - thread) / threads));
    for (let own = 0; own < this.#wanted; own++) {
      const user = this.#users[own] ?? createUser(own * threads + thread, seed);
      this.#users[own] = user;
      if (this.#active.has(user)) continue;
      this.#active.add(user);
      // Not all at once: as if they had been thinking before.
      this.#pause(now.phase, user.random.next() * thinkMs, () => this.#turn(user));
    }
  }

  #pause(phase: number, ms: number, run: () => void): void {
    this.#countThinking(phase, 1);
    this.#after(ms, () => {
      this.#countThinking(this.#now()?.phase, -1);
      run();
    });
  }

  /** As many users as were thinking since the last time have thought until now. */
  #countThinking(phase: number | undefined, change: number): void {
    const now = performance.now();
    if (phase !== undefined) this.#parts.recorder.thought(phase, this.#thinking * (now - this.#thinkingSince));
    this.#thinkingSince = now;
    this.#thinking += change;
  }

  #after(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    this.#timers.add(timer);
  }

  #turn(user: VirtualUser): void {
    const now = this.#now();
    if (!now || (user.index - this.#parts.thread) / this.#parts.threads >= this.#wanted) {
      this.#active.delete(user);
      return;
    }
    const { script } = this.#parts;
    if (script.login && !user.isLoggedIn) {
      this.#perform(user, script.login, now.phase, (error) => {
        user.isLoggedIn = error === undefined;
        this.#think(user, error);
      });
      return;
    }
    const step = chooseStep(script, user);
    if (step) this.#perform(user, step, now.phase, (error) => this.#think(user, error));
    else {
      const message = `User ${user.index} has the values that no step needs: add a step without \`needs\`.`;
      this.#parts.onFailed(new LabError('ERR_LAB_SCENARIO', message));
      this.stop();
    }
  }

  #perform(user: VirtualUser, step: IndexedStep, phase: number, onDone: (error: ErrorKind | undefined) => void): void {
    const { connections, recorder, exchanger } = this.#parts;
    recorder.offered(phase, step.index);
    if (user.connection?.isOpen !== true) user.connection = connections.acquire();
    const connection = user.connection;
    if (!connection) {
      recorder.unsent(phase, step.index);
      onDone('connect');
      return;
    }
    this.inFlight += 1;
    try {
      exchanger.start(step, user, phase, undefined, connection, (error, used) => {
        this.inFlight -= 1;
        if (!used.isOpen) {
          connections.release(used);
          user.connection = undefined;
        }
        if (this.#phases.length === 0) {
          if (this.inFlight === 0) this.#resolve();
          return;
        }
        const [first, ...rest] = error === undefined ? step.followedBy : [];
        if (!first) onDone(error);
        else
          this.#perform(
            user,
            rest.length === 0 ? first : { ...first, followedBy: [...first.followedBy, ...rest] },
            phase,
            onDone,
          );
      });
    } catch (error) {
      this.inFlight -= 1;
      this.#parts.onFailed(describeScenarioFailure(error, step.step.name));
      this.stop();
    }
  }

  #think(user: VirtualUser, error: ErrorKind | undefined): void {
    const now = this.#now();
    if (!now) {
      this.#active.delete(user);
      return;
    }
    const { thinkMs, thinking } = now.load;
    const wanted = thinkMs * (thinking === 'even' ? 1 : user.random.exponential());
    const pause = error === 'connect' || error === 'reset' ? PAUSE_MS : 0;
    const ms = Math.max(wanted, pause);
    if (ms === 0) this.#turn(user);
    else this.#pause(now.phase, ms, () => this.#turn(user));
  }
}
