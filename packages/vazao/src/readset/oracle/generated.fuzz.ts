/** Runs drawn cases: group by group, each with a schema of its own; the same seed and group give the same cases. */
import type pg from 'pg';
import { drawChange } from './changes.fuzz.ts';
import { type Choices, createChoices, createTapes } from './choices.fuzz.ts';
import { drawComparisonSchema } from './comparison-schema.fuzz.ts';
import { drawSchema } from './drawn-schema.fuzz.ts';
import { type Batch, Oracle, type OracleCase, type OracleEvents } from './oracle.fuzz.ts';
import { createRows, HAND_MADE, type OracleSchema } from './schema.fuzz.ts';
import { drawSecuredSchema } from './secured-schema.fuzz.ts';
import { CREATE_ROLES } from './session.fuzz.ts';
import { drawShape } from './shapes.fuzz.ts';
import { drawStatement } from './statements.fuzz.ts';
import { countCase, type Tally } from './tally.fuzz.ts';

const BATCHES = 12;
const STATEMENTS = 10;
const CHANGES = 8;
/** Of the statements over the hand-made schema. */
const SHAPES = 4;

export interface Miss {
  readonly found: OracleCase;
  readonly schema: OracleSchema;
  /** SQL that fills the tables. */
  readonly rows: string;
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
  const schema = drawSchemaOf(group, createChoices(tapes(120)));
  const isHandMade = schema === HAND_MADE;
  const oracle = await createOracle(client, schema);
  let miss: Miss | undefined;
  try {
    for (let at = 0; at < BATCHES && !miss && !isOver(); at++) {
      const rows = createRows(schema, createChoices(tapes(400))).join(';\n');
      const focus = drawFocus(schema, tapes(4));
      const statements = Array.from({ length: STATEMENTS }, (_, at) => {
        const choices = createChoices(tapes(200));
        return isHandMade && at < SHAPES ? drawShape(focus, choices) : drawStatement(schema, focus, choices);
      });
      const changes = Array.from({ length: CHANGES }, () =>
        drawChange(schema, new Set(focus), createChoices(tapes(60))),
      );
      const batch: Batch = { rows, statements, changes };
      tally.statements += statements.length;
      await oracle.run(batch, {
        ...countRest(tally),
        onCase(found) {
          countCase(tally, found);
          if (found.verdict === 'miss') miss ??= { found, schema, rows };
        },
      });
    }
  } finally {
    oracle.close();
  }
  return miss;
}

function drawSchemaOf(group: number, choices: Choices): OracleSchema {
  switch (group % 4) {
    case 0:
      return HAND_MADE;
    case 1:
      return drawSchema(choices);
    case 2:
      return drawSecuredSchema(choices);
    default:
      return drawComparisonSchema(choices);
  }
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

/** Two tables that statements and changes of a batch are mostly about. */
function drawFocus(schema: OracleSchema, tape: readonly number[]): string[] {
  const choices = createChoices(tape);
  const first = choices.pick(schema.tables).name;
  return [first, schema.isPlain ? first : choices.pick(schema.tables).name];
}

/** Makes the client's database anew. */
export async function createOracle(client: pg.Client, schema: Pick<OracleSchema, 'ddl' | 'session'>): Promise<Oracle> {
  await client.query('reset all; drop schema public cascade; drop schema if exists shop cascade; create schema public');
  await client.query([...(schema.session ? CREATE_ROLES : []), ...schema.ddl].join(';\n'));
  return Oracle.create(client, schema.session);
}
