import type { Change, Relation } from '../readset/change.ts';

/**
 * Gives back to each table the one object that stands for it as long as its definition stays: consumers key by it. What
 * comes from another process is a new object in each message.
 */
export class RelationMemory {
  readonly #known = new Map<number, Relation>();
  /** Those of the message at hand, so that each is compared once. */
  #received = new Map<Relation, Relation>();

  beginMessage(): void {
    if (this.#received.size > 0) this.#received = new Map();
  }

  adopt(change: Change): Change {
    const relation = this.#received.get(change.relation) ?? this.#recognize(change.relation);
    return { ...change, relation };
  }

  #recognize(received: Relation): Relation {
    const known = this.#known.get(received.oid);
    const relation = known && isSame(known, received) ? known : received;
    this.#known.set(received.oid, relation);
    this.#received.set(received, relation);
    return relation;
  }
}

function isSame(one: Relation, other: Relation): boolean {
  return (
    one.schema === other.schema &&
    one.name === other.name &&
    one.columns.length === other.columns.length &&
    one.columns.every((column, index) => column === other.columns[index])
  );
}
