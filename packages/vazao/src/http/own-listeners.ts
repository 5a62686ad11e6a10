/**
 * Whether the requests of a server are heard by our own listeners alone. Hooks of the application need not hear of a hit, which is
 * an answer that they let through; who listens to the server itself wants to hear of each request, and may set fields or refuse.
 */
import type { RequestListener, Server } from 'node:http';

const own = new WeakSet<RequestListener>();

/** Marks a listener as one that a hit may pass by: what it does is done for hits as well. */
export function ownListener<T extends RequestListener>(listener: T): T {
  own.add(listener);
  return listener;
}

export function isOwnListener(listener: RequestListener): boolean {
  return own.has(listener);
}

export class OwnListeners {
  readonly #server: Server;
  /** Undefined: to be looked at again. */
  #areAlone: boolean | undefined;

  constructor(server: Server) {
    this.#server = server;
    const look = (event: string | symbol): void => {
      if (event === 'request') this.#areAlone = undefined;
    };
    server.on('newListener', look).on('removeListener', look);
  }

  areAlone(): boolean {
    this.#areAlone ??= (this.#server.listeners('request') as RequestListener[]).every(isOwnListener);
    return this.#areAlone;
  }
}
