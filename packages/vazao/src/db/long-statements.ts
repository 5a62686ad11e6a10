/**
 * Statements that are too long to be analysed on the event loop, of up to 2 MiB: a thread finds which tables they name, and until it
 * has they are refused. It lives for one statement, and nothing of it stays but the tables.
 *
 * Texts so long may come once each. So that they don't cost a core, one is read at a time, and after each the reading rests for nine times
 * as long as it took.
 */
import { createHash } from 'node:crypto';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LRUCache } from 'lru-cache';
import type { Catalog, DeclaredFunction, FindLongReading, LongReading } from '../readset/index.ts';
import { runWithoutContext } from './context.ts';

/** Statements of one catalog that are known, by their hash. */
const KNOWN_MAX = 200;
/** A reading that failed, by the time that it took say, is tried again after so long. */
const FAILED_MS = 60_000;
const RESTS = 9;
const TIME_MAX_MS = 10_000;
/** Of the thread's heap. */
const HEAP_MAX_MB = 512;

export interface LongStatement {
  readonly text: string;
  readonly searchPath: readonly string[];
  readonly catalog: Catalog;
  readonly declaredFunctions: readonly DeclaredFunction[];
}

export class LongStatements {
  #thread: Worker | undefined;
  /** As `performance.now()`. */
  #restsUntil = 0;

  /** For the analyzer of one catalog. */
  forCatalog(catalog: Catalog, declaredFunctions: readonly DeclaredFunction[]): FindLongReading {
    const known = new LRUCache<string, LongReading>({ max: KNOWN_MAX });
    return (text, searchPath) => {
      const key = createHash('sha256').update(JSON.stringify(searchPath)).update(text).digest('base64');
      const reading = known.get(key);
      if (!reading && !this.#thread && performance.now() >= this.#restsUntil) {
        // Without the context of the request, which would last as long as the thread.
        void runWithoutContext(() => this.#read({ text, searchPath, catalog, declaredFunctions })).then(
          (found) => known.set(key, found),
          (error: Error) => known.set(key, refuse(error.message), { ttl: FAILED_MS }),
        );
      }
      return reading;
    };
  }

  close(): void {
    this.#restsUntil = Number.POSITIVE_INFINITY;
    void this.#thread?.terminate();
  }

  async #read(statement: LongStatement): Promise<LongReading> {
    const startedAt = performance.now();
    try {
      return await this.#readInThread(statement);
    } finally {
      this.#thread = undefined;
      const now = performance.now();
      this.#restsUntil = Math.max(this.#restsUntil, now + RESTS * (now - startedAt));
    }
  }

  async #readInThread(workerData: LongStatement): Promise<LongReading> {
    const thread = new Worker(new URL(`./entry/long-statement${extname(import.meta.filename)}`, import.meta.url), {
      workerData,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MB },
    });
    this.#thread = thread;
    const timer = setTimeout(() => void thread.terminate(), TIME_MAX_MS);
    timer.unref();
    let found: LongReading | undefined;
    let failure = `The thread ended before it had found them; it has ${TIME_MAX_MS / 1_000} s.`;
    thread.on('message', (reading: LongReading) => {
      found = reading;
    });
    thread.on('error', (error) => {
      failure = (error as Error).message;
    });
    // Last, since a listener for messages holds the process.
    thread.unref();
    await new Promise((resolve) => thread.on('exit', resolve));
    clearTimeout(timer);
    if (!found) throw new Error(`Which tables the statement names could not be found. ${failure}`);
    return found;
  }
}

function refuse(detail: string): LongReading {
  const finding = { code: 'too-complex', detail, impure: true } as const;
  return { finding, usesTime: false, settings: [], tables: [], parameterCount: 0 };
}
