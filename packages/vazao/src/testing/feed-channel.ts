/** A channel between a fan-out and a relayed feed inside one process, that can be slow and lose messages. */
import { deserialize, serialize } from 'node:v8';
import type { FeedChannel } from '../feed/index.ts';

export interface TestChannel {
  readonly supervisor: FeedChannel;
  readonly worker: FeedChannel;
  /** Messages to the worker that are under way. */
  readonly underWay: number;
  close(): void;
}

export interface TestChannelOptions {
  /** Called once for each message; the order is kept whatever it says. @defaultValue one turn of the event loop */
  readonly delayMs?: (() => number) | undefined;
  /** True for a message to the worker that is lost. */
  readonly loses?: ((message: object) => boolean) | undefined;
}

export function createTestChannel(options: TestChannelOptions = {}): TestChannel {
  const delayMs = options.delayMs ?? (() => 0);
  const toWorker = createWay(delayMs, options.loses ?? (() => false));
  const toSupervisor = createWay(delayMs, () => false);
  const closers: (() => void)[] = [];
  let closed = false;
  const end = (out: Way, incoming: Way): FeedChannel => ({
    send(message) {
      if (!closed) out.send(message);
    },
    onMessage: (listener) => incoming.listen(listener),
    onClose(listener) {
      closers.push(listener);
      return () => void closers.splice(closers.indexOf(listener), 1);
    },
  });
  return {
    supervisor: end(toWorker, toSupervisor),
    worker: end(toSupervisor, toWorker),
    get underWay() {
      return toWorker.length;
    },
    close() {
      closed = true;
      for (const closer of [...closers]) closer();
    },
  };
}

interface Way {
  readonly length: number;
  send(message: object): void;
  listen(listener: (message: unknown) => void): () => void;
}

function createWay(delayMs: () => number, loses: (message: object) => boolean): Way {
  const queue: Buffer[] = [];
  const listeners = new Set<(message: unknown) => void>();
  const pass = (): void => {
    const message = deserialize(queue.shift() as Buffer);
    for (const listener of listeners) listener(message);
    if (queue.length > 0) wait();
  };
  const wait = (): void => {
    const ms = delayMs();
    if (ms > 0) setTimeout(pass, ms);
    else setImmediate(pass);
  };
  return {
    get length() {
      return queue.length;
    },
    send(message) {
      if (loses(message)) return;
      if (queue.push(serialize(message)) === 1) wait();
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
