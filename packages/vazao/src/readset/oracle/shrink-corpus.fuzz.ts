/** Makes a miss over given data small: the statement, the change, then rows are left out as long as it stays one. The schema stays as it was given. */
import type { Corpus } from './corpus.fuzz.ts';
import type { OracleCase } from './oracle.fuzz.ts';
import { findMiss, leaveOut, printMiss, shrinkCase } from './shrink.fuzz.ts';

/** More rows than this are not tried one by one. */
const ROWS_MAX = 3_000;

interface StoredRow {
  readonly table: string;
  readonly place: string;
}

export async function shrinkCorpusMiss(corpus: Corpus, found: OracleCase, schemaFile: string): Promise<string> {
  const { oracle, tables } = corpus;
  const stored: StoredRow[] = [];
  for (const { name } of tables) {
    const { rows } = await oracle.client.query(
      `select $1::text as table, ctid::text as place from only ${name} limit ${ROWS_MAX}`,
      [name],
    );
    stored.push(...rows);
  }
  let best = await shrinkCase(oracle, 'select', found);
  const { statement, change } = best;
  const without = (kept: readonly StoredRow[]): string => {
    const left = new Set(kept);
    const gone = Map.groupBy(
      stored.filter((row) => !left.has(row)),
      ({ table }) => table,
    );
    const deletes = [...gone].map(
      ([table, rows]) =>
        `delete from only ${table} where ctid = any('{${rows.map(({ place }) => `"${place}"`).join(',')}}')`,
    );
    return [
      'set local session_replication_role = replica',
      ...deletes,
      'set local session_replication_role = origin',
    ].join(';\n');
  };
  let kept: readonly StoredRow[] = stored;
  if (stored.length <= ROWS_MAX) {
    kept = await leaveOut(stored, async (rest) => {
      const miss = await findMiss(oracle, without(rest), statement, change);
      if (miss) best = miss;
      return miss !== undefined;
    });
  }
  const rows = kept.length < stored.length ? await inserts(corpus, kept) : [`-- with all of the data given`];
  return printMiss([`\\i ${schemaFile}`], rows, best, undefined);
}

async function inserts(corpus: Corpus, kept: readonly StoredRow[]): Promise<string[]> {
  const found: string[] = [];
  for (const { table, place } of kept) {
    const { rows } = await corpus.oracle.client.query(
      `select format('insert into ${table.replaceAll("'", "''")} select (%L::${table.replaceAll("'", "''")}).*', t::text) as sql from only ${table} t where ctid = $1::tid`,
      [place],
    );
    if (rows[0]) found.push(rows[0].sql);
  }
  return found;
}
