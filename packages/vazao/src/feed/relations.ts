import type { Relation } from '../readset/change.ts';
import type { RelationMessage, ReplicaIdentity } from './pgoutput.ts';

/** A table as the stream last described it. */
export interface KnownRelation {
  readonly relation: Relation;
  readonly identity: ReplicaIdentity;
  /** For each column, whether it is part of the replica identity. */
  readonly isKey: readonly boolean[];
  readonly hasKey: boolean;
  /** Everything the description says, to tell a changed one from a repeated one. */
  readonly definition: string;
}

/**
 * The tables that the stream has described. PostgreSQL describes a table before its first change, and again whenever its
 * catalog entry was touched (also by a vacuum), so most repeats say nothing new: the same definition keeps the same
 * `Relation` object, by which consumers may key.
 */
export class RelationRegistry {
  #known = new Map<number, KnownRelation>();
  /** Those of the stream before this one: they give their objects to tables that did not change meanwhile. */
  #previous = new Map<number, KnownRelation>();

  /** To be called for each new stream: what it has not described itself is unknown. */
  reset(): void {
    this.#previous = this.#known;
    this.#known = new Map();
  }

  find(oid: number): KnownRelation | undefined {
    return this.#known.get(oid);
  }

  /** Takes a description. `changed` when this stream had described the table otherwise before. */
  describe(message: RelationMessage): { known: KnownRelation; changed: boolean } {
    const definition = JSON.stringify([message.schema, message.name, message.identity, message.columns]);
    const current = this.#known.get(message.oid);
    if (current?.definition === definition) return { known: current, changed: false };
    const previous = this.#previous.get(message.oid);
    const known = previous?.definition === definition ? previous : createKnown(message, definition);
    this.#known.set(message.oid, known);
    return { known, changed: current !== undefined };
  }
}

function createKnown(message: RelationMessage, definition: string): KnownRelation {
  const isKey = message.columns.map((column) => column.key);
  return {
    relation: {
      oid: message.oid,
      schema: message.schema,
      name: message.name,
      columns: message.columns.map((column) => column.name),
    },
    identity: message.identity,
    isKey,
    hasKey: isKey.includes(true),
    definition,
  };
}
