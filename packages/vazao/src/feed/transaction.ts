/**
 * Puts the messages of one transaction together, from Begin to Commit. PostgreSQL sends whole transactions one after the
 * other, in the order of their commits, subtransactions merged and rolled back ones left out; so there is one open
 * transaction at most.
 *
 * A table inside a transaction is in one of two states: its rows are listed, or it is *collapsed* (`kind: 'all'`), and
 * then stays so until the commit. It collapses when it is truncated, when its definition changed, and when its rows are
 * more, or larger, than is worth listing. That bounds the memory of a transaction by the number of its tables.
 */
import type { Change, Relation, Values } from '../readset/change.ts';
import { FeedError } from './errors.ts';
import type { OldTuple, PgoutputMessage, Tuple } from './pgoutput.ts';
import type { KnownRelation, RelationRegistry } from './relations.ts';

export interface Transaction {
  readonly xid32: number;
  readonly position: bigint;
  readonly committedAtMs: number;
  readonly changes: readonly Change[];
  /** Our own transactional messages, in order. */
  readonly messages: readonly { readonly prefix: string; readonly content: string }[];
}

export interface TransactionLimits {
  readonly rowsPerTableMax: number;
  readonly bytesPerTableMax: number;
}

interface TableState {
  rows: number;
  bytes: number;
  collapsed: boolean;
}

interface OpenTransaction {
  readonly xid32: number;
  readonly tables: Map<number, TableState>;
  changes: Change[];
  readonly messages: { prefix: string; content: string }[];
}

/** Of one transaction; a schema migration sends a few dozen. */
const MESSAGES_MAX = 10_000;

export class TransactionAssembler {
  readonly #relations: RelationRegistry;
  readonly #limits: TransactionLimits;
  #open: OpenTransaction | undefined;

  constructor(relations: RelationRegistry, limits: TransactionLimits) {
    this.#relations = relations;
    this.#limits = limits;
  }

  /** Whether a row of this table would be thrown away, so that it need not be decoded. */
  readonly skipsRowsOf = (oid: number): boolean => this.#open?.tables.get(oid)?.collapsed === true;

  /** Takes the next message, of `bytes` bytes; returns the transaction when it is its commit. */
  apply(message: PgoutputMessage, bytes: number): Transaction | undefined {
    switch (message.kind) {
      case 'begin':
        if (this.#open) throw new FeedError('ERR_FEED_PROTOCOL', 'A transaction begins inside another.');
        this.#open = { xid32: message.xid32, tables: new Map(), changes: [], messages: [] };
        return undefined;
      case 'commit': {
        const { xid32, changes, messages } = this.#current();
        this.#open = undefined;
        const { endPosition: position, committedAtMs } = message;
        return { xid32, position, committedAtMs, changes, messages };
      }
      case 'relation': {
        const { known, changed } = this.#relations.describe(message);
        if (changed) this.#collapse(known.relation);
        return undefined;
      }
      case 'insert': {
        const known = this.#known(message.oid, message.new);
        this.#add({ kind: 'insert', relation: known.relation, new: message.new }, bytes);
        return undefined;
      }
      case 'update': {
        const known = this.#known(message.oid, message.new, message.old?.values);
        const old = message.old ? oldValues(known, message.old) : keyOf(known, message.new);
        fillUnchanged(message.new, old);
        this.#add({ kind: 'update', relation: known.relation, old, new: message.new }, bytes);
        return undefined;
      }
      case 'delete': {
        const known = this.#known(message.oid, message.old.values);
        this.#add({ kind: 'delete', relation: known.relation, old: oldValues(known, message.old) }, bytes);
        return undefined;
      }
      case 'truncate':
        for (const oid of message.oids) this.#collapse(this.#known(oid).relation);
        return undefined;
      case 'message': {
        const { messages } = this.#current();
        if (messages.length < MESSAGES_MAX) messages.push({ prefix: message.prefix, content: message.content });
        return undefined;
      }
      case 'skipped':
      case 'ignored':
        return undefined;
    }
  }

  #add(change: Change, bytes: number): void {
    const { changes } = this.#current();
    const table = this.#table(change.relation.oid);
    table.rows++;
    table.bytes += bytes;
    if (table.rows > this.#limits.rowsPerTableMax || table.bytes > this.#limits.bytesPerTableMax) {
      this.#collapse(change.relation);
    } else if (!table.collapsed) {
      changes.push(change);
    }
  }

  #collapse(relation: Relation): void {
    const open = this.#current();
    this.#table(relation.oid).collapsed = true;
    open.changes = open.changes.filter((change) => change.relation.oid !== relation.oid);
    open.changes.push({ kind: 'all', relation });
  }

  #table(oid: number): TableState {
    const { tables } = this.#current();
    const known = tables.get(oid);
    if (known) return known;
    const table = { rows: 0, bytes: 0, collapsed: false };
    tables.set(oid, table);
    return table;
  }

  #current(): OpenTransaction {
    if (!this.#open) throw new FeedError('ERR_FEED_PROTOCOL', 'A change arrived outside any transaction.');
    return this.#open;
  }

  /** The description of a table, and proof that these rows have its shape. */
  #known(oid: number, ...tuples: (Tuple | undefined)[]): KnownRelation {
    const known = this.#relations.find(oid);
    if (!known) throw new FeedError('ERR_FEED_PROTOCOL', `A change of table ${oid}, which was never described.`);
    for (const tuple of tuples) {
      if (tuple && tuple.length !== known.isKey.length) {
        throw new FeedError('ERR_FEED_PROTOCOL', `A row of ${known.relation.name} has ${tuple.length} columns.`);
      }
    }
    return known;
  }
}

/** In a key-only tuple the other columns are sent as null, and mean "not known". */
function oldValues(known: KnownRelation, old: OldTuple): Values {
  return old.kind === 'full'
    ? old.values
    : old.values.map((value, column) => (known.isKey[column] ? value : undefined));
}

/**
 * PostgreSQL sends no old tuple when the replica identity is a key and the update left it alone. The key is then that of
 * the new row, which is what decides "this was another row".
 */
function keyOf(known: KnownRelation, values: Tuple): Values | undefined {
  if (!known.hasKey || known.identity === 'full') return undefined;
  return values.map((value, column) => (known.isKey[column] ? value : undefined));
}

function fillUnchanged(values: Tuple, old: Values | undefined): void {
  if (!old) return;
  for (let column = 0; column < values.length; column++) {
    if (values[column] === undefined) values[column] = old[column];
  }
}
