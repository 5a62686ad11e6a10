/** How many answers left, and how they came about. Counted where they leave: a listener on each response would cost hits. */

/**
 * `hit`: what `Cache-Status` calls one. `miss`: a cached route computed it, or its fill was waited for. `other`: of what is
 * not cached.
 */
export type AnswerKind = 'hit' | 'miss' | 'other';

/** Of each kind the answers by the first digit of their status: those of 2xx stand at 2. */
export type AnswerFigures = Readonly<Record<AnswerKind, readonly number[]>>;

const FIRST_DIGITS = 6;

export class AnswerCounts {
  readonly #counts = { hit: zeros(), miss: zeros(), other: zeros() };

  get figures(): AnswerFigures {
    return this.#counts;
  }

  add(kind: AnswerKind, status: number): void {
    const counts = this.#counts[kind];
    const digit = Math.trunc(status / 100);
    if (digit < FIRST_DIGITS) counts[digit] = (counts[digit] as number) + 1;
  }
}

function zeros(): number[] {
  return new Array(FIRST_DIGITS).fill(0);
}
