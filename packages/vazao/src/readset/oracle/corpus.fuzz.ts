/**
 * The oracle over anybody's schema, data and statements: parameters and changes are drawn from the values in the data.
 * Data are read in samples, so that memory is bounded whatever their size.
 */
import type pg from 'pg';
import { type Choices, createChoices, createTapes } from './choices.fuzz.ts';
import { drawChangeOf, loadTables, type Pools, type SampledTable } from './corpus-changes.fuzz.ts';
import { drawParameter } from './corpus-values.fuzz.ts';
import { countRest } from './generated.fuzz.ts';
import { Oracle, type OracleCase, type OracleStatement } from './oracle.fuzz.ts';
import { splitSql } from './split-sql.fuzz.ts';
import { countCase, type Tally } from './tally.fuzz.ts';

/** What is wrong with a file, in a sentence. */
export class CorpusError extends Error {}

export interface CorpusFile {
  readonly name: string;
  readonly text: string;
}

export interface Corpus {
  readonly oracle: Oracle;
  readonly statements: readonly CorpusStatement[];
  readonly tables: readonly SampledTable[];
  readonly pools: Pools;
  /** What was left out before any case: by refusal code, and by PostgreSQL's message. */
  readonly refused: readonly { readonly sql: string; readonly code: string; readonly detail: string }[];
  readonly rejected: readonly { readonly sql: string; readonly message: string }[];
}

interface CorpusStatement {
  readonly sql: string;
  readonly types: readonly string[];
  readonly tables: ReadonlySet<number>;
}

const STATEMENTS = 6;
const CHANGES = 8;
/** What a dump says of roles that needn't exist here. */
const FORGIVEN =
  /^(alter\s[\s\S]*\sowner\s+to|grant|revoke|comment|create\s+publication|set|select\s+pg_catalog\.set_config)\b/i;

/** Loads the files into the client's database, which should be empty. */
export async function loadCorpus(
  client: pg.Client,
  files: { readonly schema: CorpusFile; readonly data: CorpusFile | undefined; readonly corpus: CorpusFile },
): Promise<Corpus> {
  // The files of node-pg-migrate hold the way back as well.
  const [up = ''] = files.schema.text.split(/^-- Down Migration/m);
  await execute(client, { ...files.schema, text: up });
  if (files.data) await execute(client, files.data);
  await client.query('reset all; analyze');
  const oracle = await Oracle.create(client);
  const { tables, pools } = await loadTables(client, oracle.catalog);
  const statements: CorpusStatement[] = [];
  const refused: Corpus['refused'][number][] = [];
  const rejected: Corpus['rejected'][number][] = [];
  const texts = splitSql(files.corpus.text);
  if (texts.length === 0) throw new CorpusError(`${files.corpus.name} holds no statement.`);
  for (const sql of texts) {
    const template = oracle.analyzer.template(sql);
    const code = template.refusal?.code;
    const types = code !== undefined && NOT_PREPARED.has(code) ? [] : await prepare(client, sql);
    if (typeof types === 'string') rejected.push({ sql, message: types });
    else if (template.refusal) refused.push({ sql, ...template.refusal });
    else statements.push({ sql, types, tables: new Set(template.terms.map(({ table }) => table.oid)) });
  }
  return { oracle, statements, tables, pools, refused, rejected };
}

const NOT_PREPARED: ReadonlySet<string> = new Set([
  'command',
  'transaction',
  'session-setting',
  'not-one-statement',
  'too-complex',
]);

/** The types of the statement's parameters; PostgreSQL's message if it rejects the statement. */
async function prepare(client: pg.Client, sql: string): Promise<string[] | string> {
  try {
    await client.query(`prepare corpus as ${sql}`);
    const { rows } = await client.query(
      `select parameter_types::text[] as types from pg_prepared_statements where name = 'corpus'`,
    );
    return rows[0].types;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await client.query('deallocate all');
  }
}

async function execute(client: pg.Client, file: CorpusFile): Promise<void> {
  for (const [at, sql] of splitSql(file.text).entries()) {
    try {
      await client.query(sql);
    } catch (error) {
      if (FORGIVEN.test(sql)) continue;
      const start = sql.replaceAll(/\s+/g, ' ').slice(0, 60);
      throw new CorpusError(
        `${file.name}: statement ${at + 1} (${start} …) fails: ${error instanceof Error ? error.message : String(error)}.`,
      );
    }
  }
}

/** Runs one batch; returns the first miss. */
export async function runCorpusBatch(
  corpus: Corpus,
  seed: number,
  batch: number,
  tally: Tally,
): Promise<OracleCase | undefined> {
  const tapes = createTapes(seed, batch);
  const choices = createChoices(tapes(100));
  const first = choices.pick(corpus.statements);
  const near = corpus.statements.filter(({ tables }) => [...first.tables].some((oid) => tables.has(oid)));
  const others = Array.from({ length: STATEMENTS - 1 }, () => choices.pick(near.length > 0 ? near : [first]));
  const statements = [first, ...others].map((statement) =>
    drawExecution(statement, corpus.pools, createChoices(tapes(60))),
  );
  const written = tablesToWrite(corpus, first);
  if (written.length === 0) return undefined;
  const changes = Array.from({ length: CHANGES }, () => drawChangeOf(written, corpus.tables, createChoices(tapes(80))));
  tally.statements += statements.length;
  let miss: OracleCase | undefined;
  await corpus.oracle.run(
    { rows: 'select', statements, changes },
    {
      ...countRest(tally),
      onCase(found) {
        countCase(tally, found);
        if (found.verdict === 'miss') miss ??= found;
      },
    },
  );
  return miss;
}

function drawExecution(statement: CorpusStatement, pools: Pools, choices: Choices): OracleStatement {
  const parameters = statement.types.map((type) => drawParameter(type, pools, choices));
  return { sql: statement.sql, parameters, kinds: ['corpus'] };
}

/** The tables that the statement reads, with their partitions and children. */
function tablesToWrite(corpus: Corpus, statement: CorpusStatement): SampledTable[] {
  return corpus.tables.filter(
    ({ table }) => statement.tables.has(table.oid) || table.ancestors.some((oid) => statement.tables.has(oid)),
  );
}
