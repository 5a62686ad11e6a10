/**
 * The fields that tell a client of its limits: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
 * Both are Lists of structured fields (RFC 9651) whose members are Strings, the names of the policies.
 */

export interface Quota {
  /** Of the policy. Printable ASCII without `"` and `\`. */
  readonly name: string;
  readonly requests: number;
  readonly windowMs: number;
  readonly remaining: number;
  readonly resetMs: number;
}

/** `"user";q=600;w=60, "export";q=60;w=3600` */
export function formatPolicy(quotas: readonly Quota[]): string {
  return quotas.map(({ name, requests, windowMs }) => `"${name}";q=${requests};w=${seconds(windowMs)}`).join(', ');
}

/** `"user";r=599;t=60, "export";r=0;t=1312` */
export function formatRemaining(quotas: readonly Quota[]): string {
  return quotas.map(({ name, remaining, resetMs }) => `"${name}";r=${remaining};t=${seconds(resetMs)}`).join(', ');
}

/** Rounded up: whoever comes back then is not refused for having been punctual. */
export function seconds(ms: number): number {
  return Math.max(0, Math.ceil(ms / 1_000));
}
