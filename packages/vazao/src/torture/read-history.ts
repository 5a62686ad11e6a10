/** The last reads of each client, for the history that a violation is shown with. */
import type { Read } from './history.ts';

const READS_REMEMBERED = 60;

export class ReadHistory {
  readonly #rings: Read[][];
  readonly #next: number[];

  constructor(clients: number) {
    this.#rings = Array.from({ length: clients }, () => []);
    this.#next = Array.from({ length: clients }, () => 0);
  }

  add(read: Read): void {
    const ring = this.#rings[read.client] as Read[];
    const next = this.#next[read.client] as number;
    ring[next] = read;
    this.#next[read.client] = (next + 1) % READS_REMEMBERED;
  }

  /** Those of the client, oldest first. */
  of(client: number): readonly Read[] {
    const ring = this.#rings[client] ?? [];
    const next = this.#next[client] ?? 0;
    return ring.length < READS_REMEMBERED ? ring : [...ring.slice(next), ...ring.slice(0, next)];
  }
}
