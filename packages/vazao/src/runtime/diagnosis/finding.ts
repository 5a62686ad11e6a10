/** One thing that `vazao doctor` looked at. */
export interface Finding {
  /** Stable, for programs. */
  readonly check: string;
  /** `failure`: the feed can't run. `advice`: it runs, and something would be better or will bite later. */
  readonly level: 'ok' | 'advice' | 'failure';
  readonly detail: string;
  /** The exact statements or settings that mend it, in order. */
  readonly remedy: readonly string[];
}

export function ok(check: string, detail: string): Finding {
  return { check, level: 'ok', detail, remedy: [] };
}

export function advice(check: string, detail: string, ...remedy: string[]): Finding {
  return { check, level: 'advice', detail, remedy };
}

export function failure(check: string, detail: string, ...remedy: string[]): Finding {
  return { check, level: 'failure', detail, remedy };
}
