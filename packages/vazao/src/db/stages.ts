/**
 * Where the time of a piece of work goes. Stages follow one another, and their times add up to the whole; statements run
 * within a stage, perhaps several at once, and are listed apart.
 *
 *   begun ──mark('cache')──► ──mark('hooks')──► ──mark('handler')──► …      each has the time since the mark before
 *                 add('queue', ms)                                          taken out of the stage that is running
 *                 waitForConnection() ──► end()                             the same, as `pool`, for as long as anybody waits
 */
export interface Stage {
  readonly name: string;
  readonly durationMs: number;
}

export interface TimedStatement {
  /** What it does to which table, or the name that the caller has given it; never its values. */
  readonly name: string;
  readonly durationMs: number;
}

/** More are counted, and their time summed. */
const STATEMENTS_MAX = 50;
const STAGES_MAX = 30;
const NAME_LENGTH_MAX = 60;

export class Stages {
  readonly #startedAtMs: number;
  #markedAtMs: number;
  readonly #stages: Stage[] = [];
  readonly #statements: TimedStatement[] = [];
  #more = { count: 0, durationMs: 0 };
  /** One stage however many statements wait: a handler with many would leave no room for the others. */
  #pool: { readonly name: string; durationMs: number } | undefined;
  #poolWaits = 0;
  #poolSinceMs = 0;

  constructor() {
    this.#startedAtMs = performance.now();
    this.#markedAtMs = this.#startedAtMs;
  }

  /** In the order in which they ended; a name may come several times. */
  get list(): readonly Stage[] {
    return this.#stages;
  }

  /** In the order in which they ended, the first {@link STATEMENTS_MAX}. */
  get statements(): readonly TimedStatement[] {
    return this.#statements;
  }

  /** The statements beyond those that are listed. */
  get more(): { readonly count: number; readonly durationMs: number } {
    return this.#more;
  }

  /** From the beginning to the last mark, in milliseconds: what the stages add up to. */
  get totalMs(): number {
    return this.#markedAtMs - this.#startedAtMs;
  }

  /** A stage has ended, which began at the mark before. */
  mark(name: string): void {
    const now = performance.now();
    this.#push(name, Math.max(0, now - this.#markedAtMs));
    this.#markedAtMs = now;
  }

  /** A stage that has just ended, within the one that is running, and that does not count as a part of it. */
  add(name: string, durationMs: number): void {
    this.#push(name, durationMs);
    this.#markedAtMs += durationMs;
  }

  /**
   * The work waits for a connection to the database, until the returned function is called. Statements that wait side by side
   * are one wait: what they waited for is the work's time once.
   */
  waitForConnection(): () => void {
    if (this.#poolWaits++ === 0) this.#poolSinceMs = performance.now();
    return () => {
      if (--this.#poolWaits > 0) return;
      // What was before a mark belongs to the stage that the mark ended.
      const durationMs = Math.max(0, performance.now() - Math.max(this.#poolSinceMs, this.#markedAtMs));
      if (this.#pool) this.#pool.durationMs += durationMs;
      else {
        this.#pool = { name: 'pool', durationMs };
        this.#stages.push(this.#pool);
      }
      this.#markedAtMs += durationMs;
    };
  }

  /** A statement that has just ended. */
  addStatement(name: string, durationMs: number): void {
    if (this.#statements.length < STATEMENTS_MAX) this.#statements.push({ name, durationMs });
    else this.#more = { count: this.#more.count + 1, durationMs: this.#more.durationMs + durationMs };
  }

  #push(name: string, durationMs: number): void {
    if (this.#stages.length < STAGES_MAX) this.#stages.push({ name, durationMs });
  }
}

/** `select campanhas`, `update livros`: the verb, and the first table that is named. */
export function nameStatement(text: string, given?: string | undefined): string {
  if (given) return shorten(given);
  const code = text.slice(0, 2_000).replace(/\/\*[\s\S]*?\*\/|--[^\n]*/g, ' ');
  const verb = /[a-z]+/i.exec(code)?.[0]?.toLowerCase() ?? 'statement';
  const table = /\b(?:from|into|update|join|table)\s+(?:only\s+)?((?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))?)/i.exec(
    code,
  );
  return shorten(table?.[1] ? `${verb} ${table[1].replaceAll('"', '')}` : verb);
}

function shorten(name: string): string {
  return name.length <= NAME_LENGTH_MAX ? name : `${name.slice(0, NAME_LENGTH_MAX - 1)}…`;
}
