/**
 * Wakes the threads of the generator when their next arrival is due, to a tenth of a millisecond.
 *
 * The event loop's timers count whole milliseconds, and come 0.6 ms late in the median: more than a cached answer takes. A loop
 * that asks the clock all the time would take a core from the server. So one thread sleeps in `Atomics.wait`, which the
 * kernel times finely (0.1 ms late in the median, some 0.03 ms of CPU for an arrival), and whom it wakes asks the clock for the rest.
 *
 * Shared memory: [generation, stop] as integers; for each slot when it is due (milliseconds since 1970, Infinity for never) and how
 * often it was woken. A slot is written by two threads: its owner, and the metronome, which takes out what is due. What the owner
 * sets in that moment may be taken out unseen; since it is woken after that, it looks whether what it has set is still there.
 */
const CONTROL_BYTES = 8;
/** One 64-bit store, which the machines that Node runs on do not tear. */
const SLOT_BYTES = 16;
/** How long before it is due a thread is woken. */
const EARLY_MS = 0.08;

interface Slots {
  readonly control: Int32Array;
  readonly due: Float64Array;
  readonly woken: Int32Array;
}

export function createMetronomeMemory(slots: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(CONTROL_BYTES + SLOT_BYTES * slots);
  openMemory(memory).due.fill(Number.POSITIVE_INFINITY);
  return memory;
}

/** Blocks its thread until {@link stopMetronome}. */
export function runMetronome(memory: SharedArrayBuffer): void {
  const { control, due, woken } = openMemory(memory);
  while (Atomics.load(control, 1) === 0) {
    const generation = Atomics.load(control, 0);
    const now = clock() + EARLY_MS;
    let next = Number.POSITIVE_INFINITY;
    for (let slot = 0; slot < due.length; slot++) {
      const at = due[slot] as number;
      if (at > now) {
        next = Math.min(next, at);
        continue;
      }
      due[slot] = Number.POSITIVE_INFINITY;
      Atomics.add(woken, slot, 1);
      Atomics.notify(woken, slot);
    }
    Atomics.wait(control, 0, generation, next - now);
  }
}

export function stopMetronome(memory: SharedArrayBuffer): void {
  const { control } = openMemory(memory);
  Atomics.store(control, 1, 1);
  Atomics.add(control, 0, 1);
  Atomics.notify(control, 0);
}

export interface Alarm {
  /** Calls back when that moment of `performance.now()` has come; replaces what was asked for before. */
  set(at: number): void;
  clear(): void;
}

/** For one slot; not before it is due. */
export function createAlarm(memory: SharedArrayBuffer, slot: number, onDue: () => void): Alarm {
  const { control, due, woken } = openMemory(memory);
  let dueAt = Number.POSITIVE_INFINITY;
  let listening = false;
  const post = (): void => {
    due[slot] = dueAt + performance.timeOrigin;
    Atomics.add(control, 0, 1);
    Atomics.notify(control, 0);
  };
  const ring = (): void => {
    const missing = dueAt - performance.now();
    if (missing > 1) {
      if (due[slot] !== dueAt + performance.timeOrigin) post();
      return;
    }
    if (missing > 0) {
      setImmediate(ring);
      return;
    }
    dueAt = Number.POSITIVE_INFINITY;
    onDue();
  };
  const listen = (): void => {
    if (listening) return;
    listening = true;
    const waiting = Atomics.waitAsync(woken, slot, Atomics.load(woken, slot));
    void Promise.resolve(waiting.value).then(() => {
      listening = false;
      if (dueAt === Number.POSITIVE_INFINITY) return;
      listen();
      ring();
    });
  };
  return {
    set(at) {
      dueAt = at;
      listen();
      post();
    },
    clear() {
      dueAt = Number.POSITIVE_INFINITY;
      due[slot] = Number.POSITIVE_INFINITY;
    },
  };
}

function openMemory(memory: SharedArrayBuffer): Slots {
  const slots = (memory.byteLength - CONTROL_BYTES) / SLOT_BYTES;
  return {
    control: new Int32Array(memory, 0, 2),
    due: new Float64Array(memory, CONTROL_BYTES, slots),
    woken: new Int32Array(memory, CONTROL_BYTES + 8 * slots, slots),
  };
}

function clock(): number {
  return performance.timeOrigin + performance.now();
}
