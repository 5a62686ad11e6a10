import type { ChildProcess } from 'node:child_process';
import type { EventEmitter } from 'node:events';
import type { FanOutMessage, FanOutReply } from './fanout-messages.ts';

/** One end of a way between two processes that keeps the order. What it may lose is noticed by the numbers. */
export interface FeedChannel {
  send(message: FanOutMessage | FanOutReply): void;
  /** Adds a listener; the function returned removes it. */
  onMessage(listener: (message: unknown) => void): () => void;
  /** Called once, when the other end is gone. Adds a listener; the function returned removes it. */
  onClose(listener: () => void): () => void;
}

/** The IPC channel of a child process, which must have been made with `serialization: 'advanced'`. Others may use it, too. */
export function createIpcChannel(end: ChildProcess | NodeJS.Process): FeedChannel {
  const events: EventEmitter = end;
  return {
    send(message) {
      // A channel that closes meanwhile is told of by `disconnect`.
      if (end.connected) end.send?.(message, undefined, undefined, () => {});
    },
    onMessage(listener) {
      const filtered = (message: { readonly kind?: unknown } | null): void => {
        if (message?.kind === 'feed') listener(message);
      };
      events.on('message', filtered);
      return () => void events.off('message', filtered);
    },
    onClose(listener) {
      events.on('disconnect', listener);
      return () => void events.off('disconnect', listener);
    },
  };
}
