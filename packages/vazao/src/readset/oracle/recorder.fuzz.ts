/**
 * Row changes as the feed would deliver them, without a commit: triggers on each table tell of every row that a write
 * changes, by whatever way (cascades, other triggers, views, rows that move between partitions), in notices that arrive
 * with the write's own answer.
 */
import type pg from 'pg';
import type { Catalog, CatalogTable } from '../catalog.ts';
import type { Change, Relation, Values } from '../change.ts';

/** What a feed knows less of: a replica identity without the old row, a value that it could not read. */
export type Degrade = 'none' | 'no old row' | 'unknown value';

const INSTALL = `
  create or replace function public.vazao_oracle_record() returns trigger language plpgsql as $$
  begin
    if tg_level = 'STATEMENT' then
      raise notice using message = 'vazao truncate ' || tg_relid;
    else
      raise notice using message = 'vazao ' || tg_op || ' ' || tg_relid,
        detail = coalesce(old::text, '-'), hint = coalesce(new::text, '-');
    end if;
    return null;
  end $$;
  do $$
  declare relation record;
  begin
    for relation in
      select c.oid::regclass as name, c.relkind, c.relispartition from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%'
    loop
      -- A partition inherits its root's triggers for rows, and has its own for TRUNCATE.
      if not relation.relispartition then
        execute format('create trigger zz_vazao_oracle after insert or update or delete on %s for each row execute function public.vazao_oracle_record()', relation.name);
      end if;
      if relation.relkind = 'r' then
        execute format('create trigger zz_vazao_oracle_all after truncate on %s for each statement execute function public.vazao_oracle_record()', relation.name);
      end if;
    end loop;
  end $$`;

export interface Recorder {
  /** Runs SQL, of several statements, in the session's transaction; returns the changes that it made, and all rows as text. */
  record(sql: string, degrade: Degrade): Promise<Recorded>;
  close(): void;
}

export interface Recorded {
  readonly changes: readonly Change[];
  /** Rows of each statement. */
  readonly results: readonly (readonly (readonly unknown[])[])[];
}

/** Values as the output functions print them, which is what the feed carries. */
export const RAW = {
  getTypeParser:
    () =>
    (text: string): string =>
      text,
};

export async function installRecorder(client: pg.ClientBase): Promise<void> {
  await client.query(INSTALL);
}

export function createRecorder(client: pg.ClientBase, catalog: Catalog): Recorder {
  const tables = new Map(catalog.tables.map((table) => [table.oid, table]));
  const relations = new Map<CatalogTable, Relation>();
  let notices: { message?: string | undefined; detail?: string | undefined; hint?: string | undefined }[] = [];
  const onNotice = (notice: { message?: string | undefined }): void => {
    if (notice.message?.startsWith('vazao ')) notices.push(notice);
  };
  client.on('notice', onNotice);

  /** The feed names the leaf, in the leaf's own order of columns, without generated ones. */
  const relationOf = (table: CatalogTable): Relation => {
    let relation = relations.get(table);
    if (!relation) {
      const columns = table.columns.filter((column) => !column.generated).map((column) => column.name);
      relation = { oid: table.oid, schema: table.schema, name: table.name, columns };
      relations.set(table, relation);
    }
    return relation;
  };
  const rowOf = (table: CatalogTable, text: string, degrade: Degrade): Values => {
    const row = parseRecord(text);
    return table.columns.flatMap((column, at): Values => {
      if (column.generated) return [];
      if (degrade === 'unknown value' && (column.name === 'k' || at % 3 === 2)) return [undefined];
      return [row[at] ?? null];
    });
  };
  const changeOf = (notice: (typeof notices)[number], degrade: Degrade): Change | undefined => {
    const [, operation = '', oid] = (notice.message ?? '').split(' ');
    const table = tables.get(Number(oid));
    if (!table) return undefined; // made by the write itself
    const relation = relationOf(table);
    const { detail = '', hint = '' } = notice;
    switch (operation) {
      case 'INSERT':
        return { kind: 'insert', relation, new: rowOf(table, hint, degrade) };
      case 'DELETE':
        return { kind: 'delete', relation, old: rowOf(table, detail, degrade) };
      case 'UPDATE': {
        const old = degrade === 'no old row' ? undefined : rowOf(table, detail, degrade);
        return { kind: 'update', relation, old, new: rowOf(table, hint, degrade) };
      }
      default:
        return { kind: 'all', relation };
    }
  };

  return {
    async record(sql, degrade) {
      notices = [];
      const answer: unknown = await client.query({ text: sql, rowMode: 'array', types: RAW });
      const results = (Array.isArray(answer) ? answer : [answer]) as { rows: unknown[][] }[];
      return {
        changes: notices.flatMap((notice) => changeOf(notice, degrade) ?? []),
        results: results.map(({ rows }) => rows),
      };
    },
    close() {
      client.removeListener('notice', onNotice);
    },
  };
}

/** The text form of a row: `(1,"a ""quoted"" word",,"")`, where nothing is NULL and "" the empty text. */
export function parseRecord(text: string): (string | null)[] {
  const values: (string | null)[] = [];
  let at = 1;
  for (;;) {
    let value = '';
    let isNull = true;
    let quoted = false;
    for (; at < text.length; at++) {
      const character = text[at] as string;
      if (character === '"') {
        isNull = false;
        if (quoted && text[at + 1] === '"') value += text[++at];
        else quoted = !quoted;
      } else if (character === '\\') value += text[++at];
      else if (!quoted && (character === ',' || character === ')')) break;
      else {
        value += character;
        isNull = false;
      }
    }
    values.push(isNull ? null : value);
    if (at >= text.length || text[at] === ')') return values;
    at++;
  }
}
