/**
 * Which host a client asks, as a balancer in front of them would choose: any, but not one where very many more wait than at the
 * others, and for a moment not the one that has just refused the client. So a host that stands still holds up half of the
 * clients, and not all of them one after the other.
 */
import type { Host } from './host.ts';
import type { Random } from './random.ts';

/** Requests more than at the host with the fewest. */
const AHEAD_MAX = 48;
const REFUSED_MIN_MS = 250;
const REFUSED_MAX_MS = 500;

export class Balancer {
  readonly #hosts: readonly Host[];
  readonly #waiting: Map<Host, number>;

  constructor(hosts: readonly Host[]) {
    this.#hosts = hosts;
    this.#waiting = new Map(hosts.map((host) => [host, 0]));
  }

  began(host: Host): void {
    this.#waiting.set(host, this.#countOf(host) + 1);
  }

  ended(host: Host): void {
    this.#waiting.set(host, this.#countOf(host) - 1);
  }

  /** Very many more wait for this host than for another that has not refused the client. */
  isBehind(host: Host, refused: Refused, nowMs: number): boolean {
    let fewest = this.#countOf(host);
    for (const [other, count] of this.#waiting) {
      if (count < fewest && !refused.is(other, nowMs)) fewest = count;
    }
    return this.#countOf(host) - fewest > AHEAD_MAX;
  }

  pick(random: Random, refused: Refused, nowMs: number): Host {
    const good = this.#hosts.filter((host) => !refused.is(host, nowMs) && !this.isBehind(host, refused, nowMs));
    return random.pick(good.length > 0 ? good : this.#hosts);
  }

  #countOf(host: Host): number {
    return this.#waiting.get(host) ?? 0;
  }
}

/** The hosts that a client stays away from for a while. */
export class Refused {
  readonly #untilMs = new Map<Host, number>();

  add(host: Host, random: Random, nowMs: number): void {
    this.#untilMs.set(host, nowMs + random.between(REFUSED_MIN_MS, REFUSED_MAX_MS));
  }

  is(host: Host, nowMs: number): boolean {
    return (this.#untilMs.get(host) ?? 0) > nowMs;
  }
}
