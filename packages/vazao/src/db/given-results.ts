/**
 * What a handler was given so far, as digests: so that the same statements can be run again on another server, and found
 * to give the same. Bounded; beyond the bound nothing is found to be the same.
 */
import { createHash } from 'node:crypto';
import { serialize } from 'node:v8';
import type pg from 'pg';
import type { Statement } from './statement.ts';

const STATEMENTS_MAX = 50;
const BYTES_MAX = 64 * 1024;

interface Given {
  readonly statement: Statement;
  readonly digest: string;
}

export class GivenResults {
  readonly #given: Given[] = [];
  #bytes = 0;
  #isComplete = true;

  /** Called before the handler has the result, and could change it. */
  add(statement: Statement, result: pg.QueryResult): void {
    if (!this.#isComplete) return;
    const digest = this.#given.length < STATEMENTS_MAX ? digestOf(result, BYTES_MAX - this.#bytes) : undefined;
    if (!digest) {
      this.#isComplete = false;
      this.#given.length = 0;
      return;
    }
    this.#bytes += digest.bytes;
    this.#given.push({ statement, digest: digest.text });
  }

  /** Whether all statements give the same again, by the caller's way to send them. Rejects when one fails. */
  async areEqual(send: (statement: Statement) => Promise<pg.QueryResult>): Promise<boolean> {
    if (!this.#isComplete) return false;
    const again = await Promise.all(this.#given.map(({ statement }) => send(statement)));
    return this.#given.every(({ digest }, i) => digestOf(again[i] as pg.QueryResult, BYTES_MAX)?.text === digest);
  }
}

/** Undefined when it is larger than `bytesMax`, or holds what can't be compared (a type parser's functions). */
function digestOf(result: pg.QueryResult, bytesMax: number): { text: string; bytes: number } | undefined {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    hash.update(serialize(result.fields.map(({ name, dataTypeID }) => [name, dataTypeID])));
    for (const row of result.rows) {
      const data = serialize(row);
      bytes += data.length;
      if (bytes > bytesMax) return undefined;
      hash.update(data);
    }
  } catch {
    return undefined;
  }
  return { text: hash.digest('base64'), bytes };
}
