/** The connections of one thread: bounded, reused, and given up when an answer takes too long. */
import { Connection, type ConnectionOptions } from './connection.ts';

/** How often overdue answers are looked for: a time-out comes up to this late. */
const SWEEP_MS = 50;

export class Connections {
  /** Most that were open at a time. */
  most = 0;
  readonly #options: ConnectionOptions;
  readonly #max: number;
  readonly #all = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #sweeper: NodeJS.Timeout;

  constructor(options: ConnectionOptions, max: number, timeoutMs: number) {
    this.#options = options;
    this.#max = max;
    this.#sweeper = setInterval(() => this.#sweep(performance.now() - timeoutMs), SWEEP_MS);
  }

  get size(): number {
    return this.#all.size;
  }

  /** A free connection, or a new one; undefined when all are taken. */
  acquire(): Connection | undefined {
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) if (idle.isOpen) return idle;
    if (this.#all.size >= this.#max) return undefined;
    const connection = new Connection(this.#options, (closed) => this.#forget(closed));
    this.#all.add(connection);
    this.most = Math.max(this.most, this.#all.size);
    return connection;
  }

  release(connection: Connection): void {
    if (connection.isOpen) this.#idle.push(connection);
    else this.#all.delete(connection);
  }

  close(): void {
    clearInterval(this.#sweeper);
    for (const connection of this.#all) connection.close();
    this.#all.clear();
    this.#idle.length = 0;
  }

  #forget(closed: Connection): void {
    this.#all.delete(closed);
    // Those that a server closed while they were idle.
    if (this.#idle.length <= 2 * this.#all.size + 64) return;
    const open = this.#idle.filter(({ isOpen }) => isOpen);
    this.#idle.splice(0, this.#idle.length, ...open);
  }

  #sweep(sentBefore: number): void {
    for (const connection of this.#all) if (connection.isBusy && connection.sentAt < sentBefore) connection.giveUp();
  }
}
