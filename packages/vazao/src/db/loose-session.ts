/**
 * The care for a computation whose end nobody may ever tell: a page that another framework renders, which throws it away when
 * rendering fails. A transaction for all of it would wait for that end, holding a connection. So here each statement has a
 * transaction of its own, with a snapshot of its own, and the fill has what all of these snapshots see.
 *
 * That is enough: an answer is stored only if no change touches it that one of them did not see. Then every statement would
 * have answered the same at one moment, the end. An answer that is not stored may mix moments, as it does without a cache.
 *
 *   open ──end()───► ended      what was read is handed over
 *     └───leave()──► left       the same, and it is not to be stored; what follows goes to the pool
 *
 * Computations nest: what is read within one is read for all that are around it.
 */
import type pg from 'pg';
import { Fill, isOfOlderTimeline, type NotStored } from '../cache/index.ts';
import { intersectSnapshots } from '../feed/index.ts';
import type { FillCare } from './fill-care.ts';
import type { FillSession } from './fill-session.ts';
import type { Statement } from './statement.ts';

export interface LooseSessionParts {
  readonly owner: object;
  /** The care that this one begins within, as the context says. */
  readonly outer: FillCare | undefined;
  /** Begins the fill, before the first statement. Nothing is begun for what reads nothing. */
  readonly begin: () => Fill<unknown>;
  /** On the primary alone: snapshots of replicas and of the primary can't be compared. */
  readonly openPart: (part: Fill<unknown>) => FillSession;
}

export class LooseSession implements FillCare {
  readonly #parts: LooseSessionParts;
  #fill: Fill<unknown> | undefined;
  #running = 0;
  #isOwnOpen: boolean;

  constructor(parts: LooseSessionParts) {
    this.#parts = parts;
    const { outer, owner } = parts;
    // A fill in one transaction wants all that is read within to be read in that transaction.
    this.#isOwnOpen = !outer?.isOpen || (outer instanceof LooseSession && outer.owner === owner);
  }

  get owner(): object {
    const { owner, outer } = this.#parts;
    return this.#isOwnOpen || !outer ? owner : outer.owner;
  }

  get isOpen(): boolean {
    return this.#isOwnOpen || (this.#parts.outer?.isOpen ?? false);
  }

  /** Statements are read for this one, and not for one around it alone. */
  get isOwnOpen(): boolean {
    return this.#isOwnOpen;
  }

  get isOneTransaction(): boolean {
    return false;
  }

  /** Asked within a transaction alone. */
  findLocal(): undefined {}

  get notStored(): NotStored | undefined {
    return this.#fill?.notStored;
  }

  query(statement: Statement): Promise<pg.QueryResult> | undefined {
    const sessions = this.#openOnes();
    // Also where the context of a computation has leaked into what goes on around it.
    if (sessions.length === 0) return this.#parts.outer?.query(statement);
    const fills = sessions.map((session) => session.#begun());
    const part = new Fill<unknown>('', (fills[0] as Fill<unknown>).start);
    const session = this.#parts.openPart(part);
    const result = session.query(statement);
    if (!result) {
      for (const each of sessions) each.#take(part);
      return undefined;
    }
    for (const each of sessions) each.#running++;
    return this.#finish(result, session, part, sessions);
  }

  leave(code: string, detail: string): void {
    if (this.#isOwnOpen) {
      this.#begun().abandon(code, detail);
      this.#isOwnOpen = false;
    }
    const { outer } = this.#parts;
    if (outer?.isOpen) outer.leave(code, detail);
  }

  /** Ends the care. Returns what was read; undefined when nothing was. */
  end(): Fill<unknown> | undefined {
    this.#isOwnOpen = false;
    if (this.#running > 0) this.#fill?.abandon('unfinished', 'The answer was complete before its statements were.');
    return this.#fill;
  }

  async #finish(
    result: Promise<pg.QueryResult>,
    session: FillSession,
    part: Fill<unknown>,
    sessions: readonly LooseSession[],
  ): Promise<pg.QueryResult> {
    try {
      return await result;
    } finally {
      session.close();
      for (const each of sessions) {
        each.#running--;
        each.#take(part);
      }
    }
  }

  #begun(): Fill<unknown> {
    this.#fill ??= this.#parts.begin();
    return this.#fill;
  }

  /** This one and those around it that still care. */
  #openOnes(): LooseSession[] {
    const { outer } = this.#parts;
    const others = outer instanceof LooseSession ? outer.#openOnes() : [];
    return this.#isOwnOpen ? [this, ...others] : others;
  }

  #take(part: Fill<unknown>): void {
    const fill = this.#begun();
    for (const record of part.statements) fill.read(record, part.usesTime);
    if (part.snapshot) {
      const snapshot = fill.snapshot ? intersectSnapshots(fill.snapshot, part.snapshot) : part.snapshot;
      const [older, newer] =
        fill.position < part.position ? [fill.position, part.position] : [part.position, fill.position];
      if (fill.snapshot && isOfOlderTimeline(older, newer))
        fill.abandon('epoch', 'Its statements were answered by two servers, before and after a failover.');
      fill.begin(snapshot, newer);
    }
    if (!part.notStored) return;
    fill.abandon(part.notStored.code, part.notStored.detail);
    this.#isOwnOpen = false;
  }
}
