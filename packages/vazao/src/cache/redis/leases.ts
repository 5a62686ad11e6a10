/**
 * The leases that this process holds while it computes. Each is short, so that it ends soon after a process that died, and is
 * extended as long as the process lives: all of them with one call, three times within their length.
 */
export interface Lease {
  /** Redis' name of it. */
  readonly leaseName: string;
  /** Proves that it is ours. */
  readonly token: string;
}

export interface LeasesOptions {
  readonly leaseMs: number;
  /** A lease is extended for so long at most. */
  readonly heldMaxMs: number;
  /** Asks Redis for more time. Never rejects. */
  readonly extend: (leases: readonly Lease[]) => Promise<unknown>;
}

export class Leases implements Disposable {
  readonly #options: LeasesOptions;
  /** With the moment when they were taken, by `performance.now`; the oldest first. */
  readonly #held = new Map<Lease, number>();
  readonly #timer: NodeJS.Timeout;
  #isExtending = false;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#extend(), options.leaseMs / 3);
    this.#timer.unref();
  }

  hold(lease: Lease): void {
    this.#held.set(lease, performance.now());
  }

  /** It ends by its own time unless it is given back. */
  forget(lease: Lease): void {
    this.#held.delete(lease);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#held.clear();
  }

  #extend(): void {
    const { heldMaxMs, extend } = this.#options;
    for (const [lease, atMs] of this.#held) {
      if (performance.now() - atMs < heldMaxMs) break;
      this.#held.delete(lease);
    }
    if (this.#held.size === 0 || this.#isExtending) return;
    this.#isExtending = true;
    void extend([...this.#held.keys()]).finally(() => {
      this.#isExtending = false;
    });
  }
}
