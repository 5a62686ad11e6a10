/** Runs drawn cases: group by group, each with a schema of its own; the same seed and group give the same cases. */
import type pg from 'pg';
import { drawChange } from './changes.fuzz.ts';
import { createChoices, createTapes } from './choices.fuzz.ts';
import { drawSchema } from './drawn-schema.fuzz.ts';
import { type Batch, Oracle, type OracleCase, type OracleEvents, type OracleStatement } from './oracle.fuzz.ts';
import { createRows, HAND_MADE, type OracleSchema } from './schema.fuzz.ts';
import { drawShape } from './shapes.fuzz.ts';
import { drawStatement } from './statements.fuzz.ts';
import { countCase, type Tally } from './tally.fuzz.ts';

const BATCHES = 24;
const STATEMENTS = 10;
const CHANGES = 8;

/** The tapes of one case, from which it can be drawn again. */
export interface CaseTapes {
  readonly schema: OracleSchema;
  readonly focus: readonly string[];
  readonly rows: string;
  readonly isShape: boolean;
  readonly statement: readonly number[];
  readonly change: readonly number[];
}

export interface Miss {
  readonly found: OracleCase;
  readonly tapes: CaseTapes;
  readonly group: number;
}

/** Runs one group on the client's database, whose contents are dropped; stops at the first miss. */
export async function runGroup(
  client: pg.Client,
  seed: number,
  group: number,
  tally: Tally,
  isOver: () => boolean,
): Promise<Miss | undefined> {
  const tapes = createTapes(seed, group);
  const isHandMade = group % 3 === 0;
  const schema = isHandMade ? HAND_MADE : drawSchema(createChoices(tapes(120)));
  const oracle = await createOracle(client, schema.ddl);
  let miss: Miss | undefined;
  try {
    for (let at = 0; at < BATCHES && !miss && !isOver(); at++) {
      const rows = createRows(schema, createChoices(tapes(400))).join(';\n');
      const focus = drawFocus(schema, tapes(4));
      const statementTapes = Array.from({ length: STATEMENTS }, () => tapes(200));
      const changeTapes = Array.from({ length: CHANGES }, () => tapes(60));
      const statements = statementTapes.map((tape, at) => drawOne(schema, focus, isHandMade && at < 4, tape));
      const batch: Batch = {
        rows,
        statements,
        changes: changeTapes.map((tape) => drawChange(schema, new Set(focus), createChoices(tape))),
      };
      tally.statements += statements.length;
      await oracle.run(batch, {
        ...countRest(tally),
        onCase(found) {
          countCase(tally, found);
          if (found.verdict !== 'miss' || miss) return;
          const { statementAt, changeAt } = found;
          miss = {
            found,
            group,
            tapes: {
              schema,
              focus,
              rows,
              isShape: isHandMade && statementAt < 4,
              statement: statementTapes[statementAt] ?? [],
              change: changeTapes[changeAt] ?? [],
            },
          };
        },
      });
    }
  } finally {
    oracle.close();
  }
  return miss;
}

export function countRest(tally: Tally): Pick<OracleEvents, 'onRefused' | 'onRejected' | 'onUnstable'> {
  return {
    onRefused: (_statement, code) => {
      tally.refused[code] = (tally.refused[code] ?? 0) + 1;
    },
    onRejected: () => {
      tally.rejected++;
    },
    onUnstable: () => {
      tally.unstable++;
    },
  };
}

export function drawOne(
  schema: OracleSchema,
  focus: readonly string[],
  isShape: boolean,
  tape: readonly number[],
): OracleStatement {
  return isShape ? drawShape(createChoices(tape)) : drawStatement(schema, focus, createChoices(tape));
}

/** Two tables that statements and changes of a batch are mostly about. */
function drawFocus(schema: OracleSchema, tape: readonly number[]): string[] {
  const choices = createChoices(tape);
  return [choices.pick(schema.tables).name, choices.pick(schema.tables).name];
}

export async function createOracle(client: pg.Client, ddl: readonly string[]): Promise<Oracle> {
  await client.query('drop schema public cascade; create schema public');
  await client.query(ddl.join(';\n'));
  return Oracle.create(client);
}
