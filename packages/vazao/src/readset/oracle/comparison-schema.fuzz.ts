/** Small tables of every kind of column, for statements that compare one with values: so that each type is met often. */
import type { Choices } from './choices.fuzz.ts';
import { definitionsOf, TYPES } from './drawn-schema.fuzz.ts';
import { KINDS, type Kind } from './kinds.fuzz.ts';
import { type OracleSchema, type OracleTable, table } from './schema.fuzz.ts';

const KINDS_OF_TABLE = 3;

export function drawComparisonSchema(choices: Choices): OracleSchema {
  const from = choices.number(KINDS.length);
  const kinds = [...KINDS.slice(from), ...KINDS.slice(0, from)];
  const ddl = [...TYPES];
  const tables: OracleTable[] = [];
  for (let at = 0; at < kinds.length; at += KINDS_OF_TABLE) {
    const columns: Record<string, Kind> = { id: 'int' };
    for (const kind of kinds.slice(at, at + KINDS_OF_TABLE)) columns[`${kind}_c`] = kind;
    ddl.push(`create table t${at} (${definitionsOf(columns).join(', ')})`);
    tables.push(table(`t${at}`, columns, {}));
  }
  return { ddl, tables, functions: [], isPlain: true };
}
