/**
 * How often a change of another key wakes an answer: statements as applications write them, and changes of single rows
 * that do not concern the key asked for. Of these, each one that touches the read set is a false alarm.
 */
import type pg from 'pg';
import type { Change, Relation } from '../change.ts';
import { type Choices, createChoices, createTapes } from './choices.fuzz.ts';
import { countRest, createOracle } from './generated.fuzz.ts';
import type { OracleChange, OracleStatement } from './oracle.fuzz.ts';
import { countClass, createTally, type Tally } from './tally.fuzz.ts';

const PARENTS = 12;
const CHILDREN = 300;
const CHANGES = 30;
const ROUNDS_MAX = 500;
const SAME_KEY = 'top-N on a key, same key';

const DDL = [
  'create table customers (id int primary key, name text not null, city text, active bool not null)',
  `create table orders (id int primary key, customer_id int not null, total numeric(10,2) not null,
     placed_at timestamptz not null, status text not null)`,
  'create index on orders (customer_id)',
];

/** A row of a change, by column. */
type Row = Readonly<Record<string, string | null | undefined>>;

interface Shape {
  readonly kind: string;
  readonly sql: string;
  readonly parameters: readonly string[];
  /** Whether a row of a table belongs to what was asked for. */
  readonly concerns: (table: string, row: Row) => boolean;
}

function shapes(choices: Choices): Shape[] {
  const key = String(1 + choices.number(PARENTS));
  const order = String(1 + choices.number(CHILDREN));
  const keys = Array.from({ length: 3 }, () => String(1 + choices.number(PARENTS)));
  const [from, to] = [dayOf(choices.number(20)), dayOf(20 + choices.number(5))];
  const ofKey = (table: string, row: Row): boolean => table === 'orders' && row.customer_id === key;
  const withParent = (table: string, row: Row): boolean =>
    ofKey(table, row) || (table === 'customers' && row.id === key);
  const isWithin = (table: string, row: Row): boolean =>
    table === 'orders' && String(row.placed_at) >= from && String(row.placed_at) < to;
  const nothing = (): boolean => false;
  return [
    {
      kind: 'point lookup',
      sql: 'select * from customers where id = $1',
      parameters: [key],
      concerns: (table, row) => table === 'customers' && row.id === key,
    },
    {
      kind: 'point lookup',
      sql: `select o.id, o.total, c.name from orders o join customers c on c.id = o.customer_id where o.id = $1 and o.customer_id = $2`,
      parameters: [order, key],
      concerns: (table, row) => (table === 'orders' ? row.id === order : row.id === key),
    },
    {
      kind: 'foreign-key list',
      sql: 'select id, total, status from orders where customer_id = $1 order by id',
      parameters: [key],
      concerns: ofKey,
    },
    {
      kind: 'join with aggregate on a key',
      sql: `select c.id, c.name, count(o.id), coalesce(sum(o.total), 0) as total from customers c
            left join orders o on o.customer_id = c.id where c.id = $1 group by c.id`,
      parameters: [key],
      concerns: withParent,
    },
    {
      kind: 'join with aggregate on a key',
      sql: `select c.name, (select sum(o.total) from orders o where o.customer_id = c.id) from customers c where c.id = $1`,
      parameters: [key],
      concerns: withParent,
    },
    {
      kind: 'top-N on a key',
      sql: 'select id, total from orders where customer_id = $1 order by id desc limit 3',
      parameters: [key],
      concerns: ofKey,
    },
    {
      kind: 'top-N on a key',
      sql: 'select id, placed_at, total from orders where customer_id = $1 order by placed_at desc, id desc limit $2',
      parameters: [key, '3'],
      concerns: ofKey,
    },
    {
      kind: 'IN list',
      sql: 'select id, name from customers where id = any($1)',
      parameters: [`{${keys.join(',')}}`],
      concerns: (table, row) => table === 'customers' && keys.includes(String(row.id)),
    },
    {
      kind: 'IN list',
      sql: 'select customer_id, sum(total) from orders where customer_id in ($1, $2, $3) group by customer_id',
      parameters: keys,
      concerns: (table, row) => table === 'orders' && keys.includes(String(row.customer_id)),
    },
    {
      kind: 'range',
      sql: 'select id, total from orders where placed_at >= $1 and placed_at < $2 order by id',
      parameters: [from, to],
      concerns: isWithin,
    },
    {
      kind: 'range',
      sql: 'select count(*) from orders where id between $1 and $2',
      parameters: [order, String(Number(order) + 20)],
      concerns: (table, row) =>
        table === 'orders' && Number(row.id) >= Number(order) && Number(row.id) <= Number(order) + 20,
    },
    {
      kind: 'IN (SELECT) on a key',
      sql: 'select id, name from customers where id in (select customer_id from orders where id = $1)',
      parameters: [order],
      concerns: (table, row) => table === 'orders' && row.id === order,
    },
    {
      kind: 'IN (SELECT) that is pinned',
      sql: `select id, name from customers where id in (select customer_id from orders where customer_id = $1 and total > 20)`,
      parameters: [key],
      concerns: withParent,
    },
    {
      kind: 'OR of two keys',
      sql: 'select id, name from customers where id = $1 or (id = $2 and active)',
      parameters: keys.slice(0, 2),
      concerns: (table, row) => table === 'customers' && keys.slice(0, 2).includes(String(row.id)),
    },
    // Every change that leaves the answer as it is: also of the same key, below the last row shown.
    {
      kind: SAME_KEY,
      sql: 'select id, placed_at, total from orders where customer_id = $1 order by placed_at desc, id desc limit 2',
      parameters: [key],
      concerns: (table, row) => !ofKey(table, row),
    },
    {
      kind: 'top-N of a table',
      sql: 'select id, placed_at from orders order by placed_at desc, id desc limit 5',
      parameters: [],
      concerns: nothing,
    },
  ];
}

function dayOf(number: number): string {
  return `2024-01-${String(1 + number).padStart(2, '0')} 00:00:00+00`;
}

function drawChange(choices: Choices): OracleChange {
  const child = 1 + choices.number(CHILDREN);
  const parent = 1 + choices.number(PARENTS);
  const day = dayOf(choices.number(28));
  const sqls = [
    `update orders set status = 'paid', total = total + 1 where id = ${child}`,
    `update orders set placed_at = '${day}' where id = ${child}`,
    `update orders set customer_id = ${parent} where id = ${child}`,
    `insert into orders values (${CHILDREN + 1 + choices.number(50)}, ${parent}, 10, '${day}', 'new')`,
    `delete from orders where id = ${child}`,
    `update customers set name = name || '!', active = not active where id = ${parent}`,
    `insert into customers values (${PARENTS + 1 + choices.number(9)}, 'new', null, true)`,
    `delete from customers where id = ${parent}`,
  ];
  return { sql: choices.pick(sqls), degrade: 'none' };
}

/** Counts at least so many changes of other keys for each class. The client's database is emptied. Throws on a miss. */
export async function measurePrecision(client: pg.Client, seed: number, casesPerClass: number): Promise<Tally> {
  const tally = createTally();
  const tapes = createTapes(seed, 0);
  const oracle = await createOracle(client, { ddl: DDL });
  const rows = [
    `insert into customers select n, 'name ' || n, 'city ' || n % 5, n % 3 > 0 from generate_series(1, ${PARENTS}) n`,
    `insert into orders select n, 1 + (n * 7 + n / 31) % ${PARENTS}, n % 40, '${dayOf(0)}'::timestamptz + (n * 37 % 28) * interval '1 day', 'new'
     from generate_series(1, ${CHILDREN}) n`,
  ].join(';\n');
  const kinds = new Set(shapes(createChoices([])).map(({ kind }) => kind));
  kinds.delete(SAME_KEY); // seldom met
  const isEnough = (): boolean => [...kinds].every((kind) => (tally.classes[kind]?.cases ?? 0) >= casesPerClass);
  try {
    for (let round = 0; round < ROUNDS_MAX && !isEnough(); round++) {
      const drawn = shapes(createChoices(tapes(20)));
      const statements = drawn.map(
        ({ sql, parameters, kind }): OracleStatement => ({ sql, parameters, kinds: [kind] }),
      );
      const changes = Array.from({ length: CHANGES }, () => drawChange(createChoices(tapes(6))));
      tally.statements += statements.length;
      await oracle.run(
        { rows, statements, changes },
        {
          ...countRest(tally),
          onCase(found) {
            if (found.verdict === 'miss')
              throw new Error(`missed: ${found.statement.sql}\n${found.change.sql}\nwith seed ${seed}`);
            const { concerns, kind } = drawn[found.statementAt] as Shape;
            if (!found.isRelated || found.changes.some((change) => isConcerned(change, concerns))) return;
            if (found.verdict === 'alarm') return; // it did concern the answer
            tally.cases++;
            countClass(tally, kind, false, found.verdict === 'false alarm');
          },
        },
      );
    }
  } finally {
    oracle.close();
  }
  return tally;
}

function isConcerned(change: Change, concerns: Shape['concerns']): boolean {
  if (change.kind === 'all') return true;
  const rows = [
    'old' in change && change.old ? rowOf(change.relation, change.old) : undefined,
    'new' in change ? rowOf(change.relation, change.new) : undefined,
  ];
  return rows.some((row) => row !== undefined && concerns(change.relation.name, row));
}

function rowOf(relation: Relation, values: readonly (string | null | undefined)[]): Row {
  return Object.fromEntries(relation.columns.map((column, at) => [column, values[at]]));
}
