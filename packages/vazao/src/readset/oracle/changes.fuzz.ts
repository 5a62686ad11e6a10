/** Draws changes: every way in which SQL alters rows, of the tables that the statements read and of others. */
import type { Choices } from './choices.fuzz.ts';
import { type Kind, randomValue } from './kinds.fuzz.ts';
import type { OracleChange } from './oracle.fuzz.ts';
import { conditionOn, insertInto, type OracleSchema, type OracleTable } from './schema.fuzz.ts';
import { drawSessionChange } from './session.fuzz.ts';

/** `focus`: names of the tables that the batch is mostly about. */
export function drawChange(schema: OracleSchema, focus: ReadonlySet<string>, choices: Choices): OracleChange {
  if (schema.session && choices.rarely(5)) return drawSessionChange(choices);
  const degrade = choices.pick([
    'none',
    'none',
    'none',
    'none',
    'none',
    'none',
    'no old row',
    'unknown value',
  ] as const);
  const sql = drawSql(schema, focus, choices);
  // Two writes of one transaction.
  return { degrade, sql: choices.rarely(10) ? `${sql};\n${drawSql(schema, focus, choices)}` : sql };
}

function drawSql(schema: OracleSchema, focus: ReadonlySet<string>, choices: Choices): string {
  const all = schema.tables.filter((table) => table.writable.length > 0);
  const near = all.filter((table) => focus.has(table.name));
  const table = choices.pick(near.length > 0 && !choices.rarely(5) ? near : all);
  switch (choices.number(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
      return `update ${table.name} set ${assignments(table, choices)}${conditionOn(table, choices)}`;
    case 6:
    case 7:
    case 8:
      return `delete from ${table.name}${conditionOn(table, choices)}`;
    case 9:
    case 10:
    case 11:
      return insertInto(table, choices, [7 + choices.number(3)]);
    case 12:
      return insertInto(table, choices, [10 + choices.number(3), 20]);
    case 13: {
      const conflict = table.hasKey ? ` on conflict (id) do update set ${assignments(table, choices, 'nothing')}` : '';
      return `${insertInto(table, choices, [1 + choices.number(8)])}${conflict}`;
    }
    case 14:
      return merge(table, choices);
    default:
      return choices.rarely(3) && table.isFilled
        ? `truncate ${table.name} cascade`
        : `update ${table.name} set ${assignments(table, choices)}`;
  }
}

function assignments(table: OracleTable, choices: Choices, id: 'sometimes' | 'nothing' = 'sometimes'): string {
  const others = table.writable.filter((column) => column !== 'id');
  const columns = new Set([choices.pick(others), choices.pick(others)]);
  if (id === 'sometimes' && choices.rarely(6)) columns.add('id');
  return [...columns]
    .map((column) => {
      if (column === 'id') return `id = id + ${choices.pick(['100', '0'])}`;
      return `${column} = ${randomValue(table.columns[column] as Kind, choices)}`;
    })
    .join(', ');
}

function merge(table: OracleTable, choices: Choices): string {
  const values = table.writable.map((column) =>
    column === 'id' ? 's.id' : randomValue(table.columns[column] as Kind, choices),
  );
  const matched = choices.pick([`update set ${assignments(table, choices, 'nothing')}`, 'delete', 'do nothing']);
  return `merge into ${table.name} as target using (values (${1 + choices.number(5)}), (30)) as s (id) on target.id = s.id
    when matched then ${matched}
    when not matched then insert (${table.writable.join(', ')}) values (${values.join(', ')})`;
}
