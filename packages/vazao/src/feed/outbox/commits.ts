/** Puts the rows of one poll together to commits, in an order in which none comes before one that it could have seen. */
import type { Change, Relation, Values } from '../../readset/change.ts';
import type { TransactionLimits } from '../transaction.ts';
import type { OutboxRow, Poll, TableDefinition } from './poller.ts';
import { parseRowText } from './row-text.ts';

export interface OutboxCommit {
  readonly xid: bigint;
  /** When its last statement that changed something ended, by the server's clock; the commit came later. */
  readonly changedAtMs: number;
  readonly changes: readonly Change[];
  readonly schemaChanged: boolean;
}

interface KnownTable {
  readonly relation: Relation;
  readonly definition: TableDefinition;
}

interface TableState {
  rows: number;
  bytes: number;
  collapsed: boolean;
}

interface Building {
  readonly xid: bigint;
  changedAtMs: number;
  changes: Change[];
  schemaChanged: boolean;
  readonly tables: Map<number, TableState>;
}

export class CommitBuilder {
  readonly #limits: TransactionLimits;
  readonly #known = new Map<number, KnownTable>();

  constructor(limits: TransactionLimits) {
    this.#limits = limits;
  }

  /** What the tables look like under a snapshot that is no later than that of the next poll's predecessor. */
  learn(definitions: readonly TableDefinition[]): void {
    for (const definition of definitions) this.#describe(definition);
  }

  /**
   * A transaction's rows are ordered by the sequence that they drew from when each statement ended. One that waited for
   * another's row lock, or read what another had committed, drew its last number later than the other drew any.
   */
  build(poll: Pick<Poll, 'rows' | 'definitions'>): OutboxCommit[] {
    // A table that was not known, or looked otherwise at the poll before, may have had either shape when a row was written.
    const unsure = new Set<number>();
    for (const definition of poll.definitions) {
      if (this.#known.get(definition.oid)?.definition.identity !== definition.identity) unsure.add(definition.oid);
      this.#describe(definition);
    }
    const byXid = new Map<string, Building>();
    for (const row of poll.rows) {
      const [xid, oid, operation, atMs] = row;
      const found = byXid.get(xid);
      const building = found ?? {
        xid: BigInt(xid),
        changedAtMs: atMs,
        changes: [],
        schemaChanged: false,
        tables: new Map(),
      };
      // Put back at the end: what counts is a transaction's last row.
      if (found) byXid.delete(xid);
      byXid.set(xid, building);
      building.changedAtMs = Math.max(building.changedAtMs, atMs);
      if (operation === 'S') building.schemaChanged = true;
      else this.#add(building, row, unsure.has(oid));
    }
    return [...byXid.values()];
  }

  #add(building: Building, [, oid, operation, , oldRows, newRows]: OutboxRow, isUnsure: boolean): void {
    const table = building.tables.get(oid) ?? { rows: 0, bytes: 0, collapsed: false };
    building.tables.set(oid, table);
    if (table.collapsed) return;
    const known = this.#known.get(oid);
    const changes = known && !isUnsure && operation !== 'A' ? readChanges(known, oldRows, newRows) : undefined;
    table.rows += changes?.length ?? 0;
    table.bytes += (oldRows?.length ?? 0) + (newRows?.length ?? 0);
    const isTooMuch = table.rows > this.#limits.rowsPerTableMax || table.bytes > this.#limits.bytesPerTableMax;
    if (changes && !isTooMuch) {
      building.changes.push(...changes);
      return;
    }
    table.collapsed = true;
    building.changes = building.changes.filter((change) => change.relation.oid !== oid);
    // One that is not in the catalog was dropped since.
    building.changes.push({
      kind: 'all',
      relation: known?.relation ?? { oid, schema: '', name: `dropped table ${oid}`, columns: [] },
    });
  }

  #describe(definition: TableDefinition): void {
    const { oid, schema, name, columns, virtual, identity } = definition;
    const before = this.#known.get(oid);
    // The same object as long as nothing changed: consumers may key by it.
    if (
      before?.definition.identity === identity &&
      before.relation.name === name &&
      before.relation.schema === schema
    ) {
      return;
    }
    const relation = { oid, schema, name, columns: columns.filter((_, at) => !virtual[at]) };
    this.#known.set(oid, { relation, definition });
  }
}

/** Undefined where the rows are not what they should be: then the whole table has changed. */
function readChanges(known: KnownTable, oldRows: string | null, newRows: string | null): Change[] | undefined {
  const { relation } = known;
  const before = readRows(known, oldRows);
  const after = readRows(known, newRows);
  if (!before && !after) return undefined;
  if (!before) return after?.map((values) => ({ kind: 'insert', relation, new: values }));
  if (!after) return before.map((values) => ({ kind: 'delete', relation, old: values }));
  // PostgreSQL puts both rows of an update into their tables at one time.
  if (before.length !== after.length) return undefined;
  return before.map((old, at) => ({ kind: 'update', relation, old, new: after[at] as Values }));
}

function readRows({ definition }: KnownTable, text: string | null): Values[] | undefined {
  if (text === null) return undefined;
  const { columns, virtual } = definition;
  const hasVirtual = virtual.includes(true);
  const rows: Values[] = [];
  for (const line of JSON.parse(text) as string[]) {
    const values = parseRowText(line);
    if (values.length !== columns.length) return undefined;
    rows.push(hasVirtual ? values.filter((_, at) => !virtual[at]) : values);
  }
  return rows;
}
