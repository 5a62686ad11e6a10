import type { ProcessFigures, SeatFigures } from '../telemetry/index.ts';

/** A supervisor that has not answered by then has other troubles. */
const ANSWER_MAX_MS = 2_000;

/** A worker's end of the figures of all workers: the supervisor has them, a beat old at most, and is asked once at a time. */
export class AskedFigures {
  readonly #ask: () => void;
  #answer: PromiseWithResolvers<readonly SeatFigures[]> | undefined;

  constructor(ask: () => void) {
    this.#ask = ask;
  }

  receive(workers: readonly SeatFigures[]): void {
    this.#answer?.resolve(workers);
    this.#answer = undefined;
  }

  /** Undefined when there is no answer in time. What this process tells of itself takes the place of what it has told. */
  async find(own: ProcessFigures): Promise<readonly SeatFigures[] | undefined> {
    if (!this.#answer) {
      this.#answer = Promise.withResolvers();
      this.#ask();
    }
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(resolve, ANSWER_MAX_MS, undefined);
    const workers = await Promise.race([this.#answer.promise, late]);
    clearTimeout(timer);
    return workers?.map((worker) => (worker.figures.pid === own.pid ? { ...worker, ageMs: 0, figures: own } : worker));
  }
}
