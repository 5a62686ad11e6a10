import type { RefusalCode } from './refusal.ts';

/** What was refused for one reason. */
export interface RefusedSum {
  readonly code: RefusalCode;
  readonly count: number;
  /** Those that were refused most often, with how often. */
  readonly addresses: Readonly<Record<string, number>>;
}

/** From the first refusal to the line that tells of it. */
export const REFUSALS_TOLD_AFTER_MS = 10_000;
/** Addresses of one reason that are counted apart; the refusals of further ones count in the sum alone. */
const ADDRESSES_MAX = 1_000;
const ADDRESSES_TOLD = 5;

interface Counted {
  count: number;
  readonly addresses: Map<string, number>;
}

/** What was refused, in one line for some seconds: a line for each would fill the disk in just the flood that limits are for. */
export class RefusalLog {
  readonly #tell: (refused: readonly RefusedSum[]) => void;
  readonly #counted = new Map<RefusalCode, Counted>();
  #timer: NodeJS.Timeout | undefined;

  constructor(tell: (refused: readonly RefusedSum[]) => void) {
    this.#tell = tell;
  }

  /** @param address - undefined where it is not known */
  note(code: RefusalCode, address: string | undefined): void {
    let counted = this.#counted.get(code);
    if (!counted) {
      counted = { count: 0, addresses: new Map() };
      this.#counted.set(code, counted);
    }
    counted.count++;
    this.#timer ??= setTimeout(() => this.flush(), REFUSALS_TOLD_AFTER_MS).unref();
    if (address === undefined) return;
    const before = counted.addresses.get(address);
    if (before !== undefined || counted.addresses.size < ADDRESSES_MAX)
      counted.addresses.set(address, (before ?? 0) + 1);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#counted.size === 0) return;
    const refused = [...this.#counted].map(([code, { count, addresses }]) => {
      const most = [...addresses].toSorted(([, one], [, other]) => other - one).slice(0, ADDRESSES_TOLD);
      return { code, count, addresses: Object.fromEntries(most) };
    });
    this.#counted.clear();
    this.#tell(refused);
  }
}
