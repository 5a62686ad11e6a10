/**
 * Says whether a history keeps the guarantees. It is told of everything as it happens, by one clock, and judges each read in
 * a time that does not grow with the history. No I/O, no clock of its own.
 *
 * **Time.** An operation begins before its first byte is sent and ends after its last byte has come, by the observer's
 * clock. So what it did lies between, and each check below errs on the side of the server.
 *
 * **Writes.** The writes of a register are made one after the other, each with the next version. A write whose connection
 * broke is `unknown`: it may have happened, or not, or may happen yet. Its register is not written again until it is settled:
 * nothing of it runs any more, and the database was looked at. It then counts as applied from that moment on, or as void,
 * and a void write's version is given to the next: what a register holds depends on its version alone.
 *
 * **Reads.** An answer shows versions. It is wrong when
 *
 * - (a) *stale*: it shows a version of r below v, and began more than the lease (and the slack of the clocks) after v ended;
 * - (b) *mixed*: it shows two versions of one register; or it shows a write W of r, and of another register a version below
 *   one that had ended before W began, or below W's own: no snapshot holds both. Asked only of answers that the server says
 *   to have computed in one snapshot;
 * - (c) *backwards*: it shows less than the same client has seen before, where the client carries a token, or is still on the
 *   same connection; (d) *own write*: the same, for what it wrote. A write that is acknowledged with a token stands for all
 *   that had ended before it began, of whatever register: its position is later than theirs;
 * - (g) *leak*: its body names another user than the one who asked;
 * - *invented*: it shows a version that was not asked for before the answer ended, or one that turns out to be void;
 *   An answer that its route allows to be out of date, and that says so, is asked for these two only;
 * - *missing*: it lacks a register that it should show. Not so while a write that empties its table is on its way, and a lease
 *   longer: `TRUNCATE` is the one change that PostgreSQL shows to older snapshots.
 *
 * **Failover.** A write that nobody has acknowledged may be visible and then be lost with its server. So a reading of it, and
 * a step back behind it, is judged when the write is settled: void by a failover, it is no violation; void without one, it is.
 *
 * (e) and (f) are judged at the end, by {@link Checker.compare}, against answers without a cache.
 */
import assert from 'node:assert/strict';
import type { Read, Shown, Violation, ViolationKind, Write } from './history.ts';
import { RegisterLog } from './register-log.ts';

export interface CheckerOptions {
  readonly registers: readonly string[];
  readonly clients: number;
  /** How long an answer may be out of date for readers without a token. */
  readonly leaseMs: number;
  /** What timers and clocks of several processes may be off. */
  readonly slackMs: number;
  /** Called for each violation, at once. */
  readonly onViolation?: ((violation: Violation) => void) | undefined;
}

/** More violations than this say nothing new. */
export const VIOLATIONS_MAX = 100;
const EMPTYING_REMEMBERED_MAX = 64;
const SUSPENDED_MAX = 10_000;

interface ClientState {
  /** By register: what the next answer must show at least. */
  readonly floors: Int32Array;
  /** The part of it that the client wrote itself. */
  readonly own: Int32Array;
}

export class Checker {
  readonly violations: Violation[] = [];
  readonly writes: Write[] = [];
  readonly logs: readonly RegisterLog[];
  /** By register. */
  readonly names: readonly string[];
  readonly #clients: readonly ClientState[];
  readonly #graceMs: number;
  readonly #onViolation: CheckerOptions['onViolation'];
  /** The last writes that emptied a table, newest last. */
  readonly #emptying: Write[] = [];
  /** Judged when the write is settled. */
  readonly #suspended = new Map<Write, Violation[]>();
  readonly #firstRead = new Map<Write, Read>();
  readonly #failovers: number[] = [];
  #suspendedCount = 0;

  constructor({ registers, clients, leaseMs, slackMs, onViolation }: CheckerOptions) {
    this.names = registers;
    this.#onViolation = onViolation;
    this.#graceMs = leaseMs + slackMs;
    this.logs = registers.map(() => new RegisterLog());
    this.#clients = Array.from({ length: clients }, () => ({
      floors: new Int32Array(registers.length),
      own: new Int32Array(registers.length),
    }));
  }

  /** A write begins. None of its registers may be busy. */
  invoke(write: Pick<Write, 'writer' | 'registers' | 'empties' | 'client'>, atMs: number): Write {
    assert(
      write.registers.every((register) => !this.#log(register).isBusy),
      'A register is written by two at a time.',
    );
    const versions = write.registers.map((register) => this.#log(register).next);
    const invoked: Write = {
      ...write,
      id: this.writes.length,
      versions,
      invokedAtMs: atMs,
      endedAtMs: Number.POSITIVE_INFINITY,
      outcome: 'open',
    };
    this.writes.push(invoked);
    for (const register of write.registers) this.#log(register).add(invoked);
    if (write.empties.length > 0 && this.#emptying.push(invoked) > EMPTYING_REMEMBERED_MAX) this.#emptying.shift();
    return invoked;
  }

  /** It is done. `client` now carries what stands for it: a token, or its connection. */
  acknowledge(write: Write, atMs: number, client: number | undefined = undefined): void {
    this.#end(write, 'acknowledged', atMs);
    const state = client === undefined ? undefined : this.#clients[client];
    if (!state) return;
    for (let register = 0; register < this.logs.length; register++) {
      raise(state.floors, register, this.#log(register).guaranteed(write.invokedAtMs));
    }
    write.registers.forEach((register, index) => {
      raise(state.floors, register, write.versions[index] as number);
      raise(state.own, register, write.versions[index] as number);
    });
  }

  /** Its connection broke, or its answer was an error. */
  lose(write: Write): void {
    write.outcome = 'unknown';
  }

  /** Nothing of it runs any more, and the database shows it, or does not. */
  settle(write: Write, isApplied: boolean, atMs: number): void {
    if (isApplied) {
      this.#end(write, 'applied', atMs);
      return;
    }
    write.outcome = 'void';
    write.endedAtMs = atMs;
    this.#resume(write);
    const isLost = this.#isLost(write);
    const read = this.#firstRead.get(write);
    this.#firstRead.delete(write);
    if (read && !isLost) {
      this.#report({ kind: 'invented', what: `It showed ${this.#nameOf(write)}, which was never committed`, read });
    }
    // Whoever saw it saw all before it, too, and that is not lost.
    write.registers.forEach((register, index) => {
      const version = write.versions[index] as number;
      const before = this.#log(register).before(version);
      for (const { floors } of this.#clients) if (floors[register] === version) floors[register] = before;
      this.#log(register).takeBack(write);
    });
  }

  /** The primary was replaced. What was not acknowledged may be gone. */
  failedOver(atMs: number): void {
    this.#failovers.push(atMs);
  }

  /** The client carries nothing any more: no token, and a new connection. */
  forget(client: number): void {
    this.#clients[client]?.floors.fill(0);
    this.#clients[client]?.own.fill(0);
  }

  /** (g) and *invented*, of an answer that may be out of date, and says so. */
  readOutdated(read: Read): void {
    const { shown } = read;
    for (let at = 0; at < shown.length; at += 2) {
      const register = shown[at] as number;
      const version = shown[at + 1] as number;
      const log = this.#log(register);
      if (isInvented(log, version, read)) {
        this.#reportInvented(log, register, version, read, Number.POSITIVE_INFINITY);
      }
    }
    this.#checkOwner(read);
  }

  /** Judges a read, and returns how stale it was as its reader could see: in milliseconds, when it began. */
  read(read: Read): number {
    const { shown, startedAtMs } = read;
    const state = this.#clients[read.client] as ClientState;
    let stalenessMs = 0;
    for (let at = 0; at < shown.length; at += 2) {
      const register = shown[at] as number;
      const version = shown[at + 1] as number;
      const log = this.#log(register);
      if (isInvented(log, version, read)) {
        this.#reportInvented(log, register, version, read, this.#graceMs);
        continue;
      }
      const write = log.writes[version];
      if (write) this.#noteUndecided(write, read);
      const due = log.guaranteed(startedAtMs - this.#graceMs);
      if (version < due) {
        const ms = log.stalenessMs(version, startedAtMs).toFixed(0);
        const what = `It shows ${this.names[register]} ${version}, out of date for ${ms} ms when it was asked for`;
        this.#report({ kind: 'stale', what, register, version, due, read });
      }
      const floor = state.floors[register] as number;
      if (version < floor) this.#judgeStepBack(state, register, version, floor, read);
      stalenessMs = Math.max(stalenessMs, log.stalenessMs(version, startedAtMs));
    }
    // Not before all of the answer has been judged: what differs within it is no step back.
    if (read.isCarried) this.#raiseFloors(state, shown);
    if (read.oneMoment) this.#checkMoment(shown, read);
    if (read.expected.length > 0) this.#checkMissing(shown, read);
    this.#checkOwner(read);
    return stalenessMs;
  }

  /** (e): what a reader without a cache shows when all has come to rest. */
  compare(shown: Shown, url: string, atMs: number): void {
    for (let at = 0; at < shown.length; at += 2) {
      const register = shown[at] as number;
      const version = shown[at + 1] as number;
      const log = this.#log(register);
      if (version >= log.last && version < log.next) continue;
      const what = `At rest the database shows ${this.names[register]} ${version} (${url}), and ${log.last} was acknowledged`;
      this.#report({ kind: 'lost', what, register, version, due: log.last }, atMs);
    }
  }

  /** A violation that was found elsewhere. */
  report(kind: ViolationKind, what: string, atMs: number): void {
    this.#report({ kind, what }, atMs);
  }

  #raiseFloors({ floors }: ClientState, shown: Shown): void {
    for (let at = 0; at < shown.length; at += 2) {
      const register = shown[at] as number;
      const version = shown[at + 1] as number;
      // What nobody has written has been reported, and is no measure for what comes.
      if (version < this.#log(register).next) raise(floors, register, version);
    }
  }

  #checkMoment(shown: Shown, read: Read): void {
    let latestMs = Number.NEGATIVE_INFINITY;
    for (let at = 0; at < shown.length; at += 2) {
      const write = this.#log(shown[at] as number).writes[shown[at + 1] as number];
      if (write && write.invokedAtMs > latestMs) latestMs = write.invokedAtMs;
    }
    for (let at = 0; at < shown.length; at += 2) {
      const register = shown[at] as number;
      const version = shown[at + 1] as number;
      const name = this.names[register];
      const before = this.#log(register).guaranteed(latestMs);
      if (version < before) {
        const what = `It shows ${name} ${version}, and with it a write that began after ${name} ${before} was done`;
        this.#report({ kind: 'mixed', what, register, version, due: before, read });
        return;
      }
      const write = this.#log(register).writes[version];
      for (let other = 0; other < shown.length; other += 2) {
        const index = write ? write.registers.indexOf(shown[other] as number) : -1;
        const own = shown[other] === register ? version : index < 0 ? 0 : (write?.versions[index] as number);
        if ((shown[other + 1] as number) >= own) continue;
        const what = `It shows ${name} ${version} together with ${this.names[shown[other] as number]} ${shown[other + 1]}, of which ${own} was written in one transaction with it`;
        this.#report({ kind: 'mixed', what, register, version, due: own, read });
        return;
      }
    }
  }

  #checkMissing(shown: Shown, read: Read): void {
    for (const register of read.expected) {
      let found = false;
      for (let at = 0; at < shown.length && !found; at += 2) found = shown[at] === register;
      if (found || this.#isEmptied(register, read)) continue;
      this.#report({ kind: 'missing', what: `It does not show ${this.names[register]}`, register, read });
      return;
    }
  }

  #isEmptied(register: number, read: Read): boolean {
    return this.#emptying.some(
      ({ empties, invokedAtMs, endedAtMs }) =>
        empties.includes(register) && invokedAtMs <= read.endedAtMs && endedAtMs + this.#graceMs >= read.startedAtMs,
    );
  }

  #judgeStepBack(state: ClientState, register: number, version: number, floor: number, read: Read): void {
    const kind = version < (state.own[register] as number) ? 'own write' : 'backwards';
    const name = this.names[register];
    const what =
      kind === 'own write'
        ? `It shows ${name} ${version} to the client that wrote ${state.own[register]}`
        : `It shows ${name} ${version} to a client that has seen, or been told of, ${floor}`;
    const violation = { kind, what, register, version, due: floor, read } as const;
    const write = this.#log(register).writes[floor];
    if (write?.outcome !== 'open' && write?.outcome !== 'unknown') {
      this.#report(violation);
      return;
    }
    if (this.#suspendedCount >= SUSPENDED_MAX) return;
    this.#suspendedCount++;
    const waiting = this.#suspended.get(write) ?? [];
    waiting.push(complete(violation, read.endedAtMs));
    this.#suspended.set(write, waiting);
  }

  #checkOwner(read: Read): void {
    if (read.owner === undefined || read.owner === read.user) return;
    const what = `${read.user ?? 'Nobody in particular'} asked, and was given what is ${read.owner}'s`;
    this.#report({ kind: 'leak', what, read });
  }

  /** @param afterMs - for so long an answer may show what a failover has taken back */
  #reportInvented(log: RegisterLog, register: number, version: number, read: Read, afterMs: number): void {
    if (this.#wasLost(log, register, version, read, afterMs)) return;
    const what = `It shows ${this.names[register]} ${version}, which nobody had written`;
    this.#report({ kind: 'invented', what, register, version, due: log.next - 1, read });
  }

  #noteUndecided(write: Write, read: Read): void {
    const isDecided = write.outcome !== 'open' && write.outcome !== 'unknown';
    if (!isDecided && !this.#firstRead.has(write)) this.#firstRead.set(write, read);
  }

  /** A failover took the version back, and not longer ago than that. */
  #wasLost(log: RegisterLog, register: number, version: number, read: Read, afterMs: number): boolean {
    const write = log.lastVoid;
    const index = write?.registers.indexOf(register) ?? -1;
    return (
      write !== undefined &&
      write.versions[index] === version &&
      read.startedAtMs <= write.endedAtMs + afterMs &&
      this.#isLost(write)
    );
  }

  #isLost({ invokedAtMs, endedAtMs }: Write): boolean {
    return this.#failovers.some((at) => at >= invokedAtMs && at <= endedAtMs);
  }

  #end(write: Write, outcome: 'acknowledged' | 'applied', atMs: number): void {
    write.outcome = outcome;
    write.endedAtMs = atMs;
    write.registers.forEach((register, index) => {
      this.#log(register).done(write, write.versions[index] as number);
    });
    this.#firstRead.delete(write);
    for (const violation of this.#resume(write)) this.#report(violation);
  }

  #resume(write: Write): readonly Violation[] {
    const waiting = this.#suspended.get(write) ?? [];
    this.#suspended.delete(write);
    this.#suspendedCount -= waiting.length;
    return waiting;
  }

  #report(
    violation: Partial<Violation> & Pick<Violation, 'kind' | 'what'>,
    atMs = violation.read?.endedAtMs ?? 0,
  ): void {
    if (this.violations.length >= VIOLATIONS_MAX) return;
    const last = this.violations.at(-1);
    if (violation.read && last?.read === violation.read && last.kind === violation.kind) return; // it is said
    const completed = complete(violation, violation.atMs ?? atMs);
    this.violations.push(completed);
    this.#onViolation?.(completed);
  }

  #nameOf(write: Write): string {
    return write.registers.map((register, index) => `${this.names[register]} ${write.versions[index]}`).join(', ');
  }

  #log(register: number): RegisterLog {
    return this.logs[register] as RegisterLog;
  }
}

function raise(floors: Int32Array, register: number, version: number): void {
  if (version > (floors[register] as number)) floors[register] = version;
}

function complete(violation: Partial<Violation> & Pick<Violation, 'kind' | 'what'>, atMs: number): Violation {
  const { register, version, due, read } = violation;
  return { kind: violation.kind, what: violation.what, atMs, register, version, due, read };
}

/** Nobody has written this version, or not before the answer was there. */
function isInvented(log: RegisterLog, version: number, read: Read): boolean {
  const write = log.writes[version];
  return version >= log.next || (write !== undefined && write.invokedAtMs > read.endedAtMs);
}
