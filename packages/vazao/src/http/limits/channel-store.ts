/**
 * Counts of several workers in the memory of their supervisor, over the channel between them:
 *
 *   worker ── { kind: 'limits:consume', id, policy, key, points } ──► supervisor
 *   worker ◄── { kind: 'limits:count', id, count } ───────────────── supervisor
 */
import type { MemoryStore } from './memory-store.ts';
import type { RatePolicy, RateStore } from './rate-store.ts';
import type { Count } from './window-counter.ts';

interface ConsumeMessage {
  readonly kind: 'limits:consume';
  readonly id: number;
  readonly policy: RatePolicy;
  readonly key: string;
  readonly points: number;
}

interface CountMessage {
  readonly kind: 'limits:count';
  readonly id: number;
  readonly count: Count;
}

/** Asked and not answered; more than that, and the supervisor counts as not answering. */
const PENDING_MAX = 10_000;

/** The worker's end. */
class ChannelStore implements RateStore {
  readonly #send: (message: ConsumeMessage) => void;
  readonly #pending = new Map<number, (count: Count) => void>();
  #lastId = 0;

  constructor(send: (message: ConsumeMessage) => void) {
    this.#send = send;
  }

  consume(policy: RatePolicy, key: string, points: number): Promise<Count> {
    if (this.#pending.size >= PENDING_MAX) {
      this.#pending.clear(); // whoever asked has long gone on without
      return Promise.reject(new Error('The supervisor does not answer.'));
    }
    return new Promise((resolve) => {
      const id = ++this.#lastId;
      this.#pending.set(id, resolve);
      const { name, requests, windowMs } = policy;
      this.#send({ kind: 'limits:consume', id, policy: { name, requests, windowMs }, key, points });
    });
  }

  receive({ id, count }: CountMessage): void {
    this.#pending.get(id)?.(count);
    this.#pending.delete(id);
  }
}

/** A process at the other end of a channel: `process` of a worker, or what `fork` gave to the supervisor. */
export interface Peer {
  readonly connected: boolean;
  send?(message: object, handle: undefined, options: undefined, callback: () => void): unknown;
  on(event: 'message', listener: (message: unknown) => void): unknown;
}

/** The worker's end. */
export function createChannelStore(supervisor: Peer): RateStore {
  const store = new ChannelStore((message) => send(supervisor, message));
  supervisor.on('message', (message) => {
    if (isOfKind<CountMessage>(message, 'limits:count')) store.receive(message);
  });
  return store;
}

/** The supervisor's end: all workers that are attached to the one counter count together. */
export function attachCounter(counter: MemoryStore, worker: Peer): void {
  worker.on('message', (message) => {
    if (!isOfKind<ConsumeMessage>(message, 'limits:consume')) return;
    const { id, policy, key, points } = message;
    send(worker, { kind: 'limits:count', id, count: counter.count(policy, key, points) } satisfies CountMessage);
  });
}

function send(peer: Peer, message: object): void {
  if (peer.connected) peer.send?.(message, undefined, undefined, () => {});
}

function isOfKind<T extends { readonly kind: string }>(message: unknown, kind: T['kind']): message is T {
  return (message as { kind?: unknown } | null)?.kind === kind;
}
