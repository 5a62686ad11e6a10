/** The `Cache-Status` field (RFC 9211): how this answer came about. */

/** The feed's lag as it is now, as a text that changes only when its first two digits do: hits share one string. */
export class HitStatus {
  readonly #lagMs: () => number;
  #lastLagMs = Number.NaN;
  #text = '';

  constructor(lagMs: () => number) {
    this.#lagMs = lagMs;
  }

  get text(): string {
    const lagMs = this.#lagMs();
    if (lagMs !== this.#lastLagMs) {
      this.#lastLagMs = lagMs;
      this.#text = `vazao; hit; detail="lag=${formatMs(lagMs)}"`;
    }
    return this.#text;
  }
}

export function isHitStatus(cacheStatus: string): boolean {
  return cacheStatus.startsWith('vazao; hit');
}

/** Found where other processes and hosts have left it. */
export const SECOND_TIER_STATUS = 'vazao; hit; detail="tier=redis"';

export function staleStatus(staleMs: number, why: 'refreshing' | 'error'): string {
  const ttl = `ttl=-${Math.ceil(staleMs / 1_000)}`;
  return why === 'error'
    ? `vazao; hit; fwd=stale; ${ttl}; detail="stale-if-error"`
    : `vazao; hit; ${ttl}; detail="stale, refreshing"`;
}

/** @param varied - the URL was known, and this answer depends on more of the request than the URL */
export function missStatus(varied: boolean, outcome: 'stored' | 'collapsed' | { readonly notStored: string }): string {
  const miss = `vazao; fwd=${varied ? 'vary-miss' : 'uri-miss'}`;
  if (outcome === 'stored') return `${miss}; stored`;
  if (outcome === 'collapsed') return `${miss}; collapsed`;
  return `${miss}; detail="not stored: ${outcome.notStored}"`;
}

export function bypassStatus(reason: string): string {
  return `vazao; fwd=bypass; detail="${reason}"`;
}

function formatMs(ms: number): string {
  return `${ms < 1 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0)}ms`;
}
