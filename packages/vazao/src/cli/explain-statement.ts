/** `vazao explain --sql '…'`: what one statement reads, how finely, and how to write it finer. Nothing is run. */

import { text } from 'node:stream/consumers';
import pg from 'pg';
import { loadCatalog } from '../db/index.ts';
import { PUBLICATION_DEFAULT } from '../feed/options.ts';
import {
  type Catalog,
  CURES,
  createAnalyzer,
  type ExplainedTerm,
  explainTerms,
  loadParser,
  readAtLeisure,
  type Template,
} from '../readset/index.ts';
import { connectDatabase } from '../runtime/database.ts';
import { toDatabaseError } from '../runtime/database-errors.ts';
import { RuntimeError } from '../runtime/errors.ts';
import { type CommandLine, UsageError } from './command-line.ts';
import { findDatabase } from './find-database.ts';
import { readDevelopment } from './read-development.ts';

type Words = Extract<CommandLine, { readonly command: 'explain-statement' }>;

/** What `--json` prints. */
interface StatementExplanation {
  readonly database: string;
  readonly searchPath: readonly string[];
  readonly statement: string;
  /** Why an answer that ran it is not kept. */
  readonly refusal: { readonly code: string; readonly detail: string; readonly cure: string } | undefined;
  /** It depends on the current time: kept only with a `ttl`. */
  readonly usesTime: boolean;
  /** Settings of the application whose values the answer is for; they must be set in the transaction that asks. */
  readonly settings: readonly string[];
  /** How many parameters it has whose values were not given. */
  readonly unknownParameters: number;
  readonly terms: readonly ExplainedTerm[];
}

/** 0 if the answer of the statement can be kept, else 1. Throws {@link RuntimeError} and {@link UsageError}. */
export async function explainStatement(words: Words): Promise<number> {
  const statement = (words.sql === '-' ? await text(process.stdin) : words.sql).trim();
  // As the doctor, it may look at production, and needs no secret for it.
  const configuration = readDevelopment();
  await using database = await findDatabase(configuration, words.application, "vazao explain --sql '…'");
  const catalog = await readCatalog(database.url, words.searchPath);
  await loadParser();
  const template = createAnalyzer(catalog, {
    declaredFunctions: words.declared,
    findLongReading: (text, searchPath) => readAtLeisure(text, searchPath, catalog, words.declared),
  }).template(statement);
  const explanation = explain(template, words.parameters, {
    database: database.name,
    searchPath: catalog.searchPath.filter((schema) => schema !== 'pg_catalog'),
    statement,
  });
  process.stdout.write(words.json ? `${JSON.stringify(explanation, null, 2)}\n` : format(explanation));
  return explanation.refusal ? 1 : 0;
}

async function readCatalog(url: string, searchPath: string | undefined): Promise<Catalog> {
  const client = await connectDatabase(url).catch((error) => {
    throw toDatabaseError(error, url);
  });
  try {
    if (searchPath !== undefined) await setSearchPath(client, searchPath);
    return await loadCatalog(client, { publication: PUBLICATION_DEFAULT });
  } finally {
    await client.end();
  }
}

async function setSearchPath(client: pg.Client, searchPath: string): Promise<void> {
  try {
    await client.query("select set_config('search_path', $1, false)", [searchPath]);
  } catch (cause) {
    if (!(cause instanceof pg.DatabaseError)) throw cause;
    throw new UsageError(`--search-path ${searchPath}: ${cause.message}. Write schemas with commas between.`);
  }
}

function explain(
  template: Template,
  parameters: Words['parameters'],
  about: Pick<StatementExplanation, 'database' | 'searchPath' | 'statement'>,
): StatementExplanation {
  const { parameterCount, refusal } = template;
  if (parameters && parameters.length !== parameterCount) {
    throw new UsageError(
      `The statement has ${parameterCount === 0 ? 'no parameters' : `parameters up to $${parameterCount}`}, and ${parameters.length} ${parameters.length === 1 ? 'is' : 'are'} given: one --param for each, in order, or none.`,
    );
  }
  const known = parameterCount === 0 ? [] : parameters;
  return {
    ...about,
    refusal: refusal && { ...refusal, cure: CURES[refusal.code] },
    usesTime: template.usesTime || (known !== undefined && template.bind(known).usesTime),
    settings: template.settings,
    unknownParameters: known ? 0 : parameterCount,
    terms: explainTerms(template, known),
  };
}

function format({
  database,
  searchPath,
  statement,
  refusal,
  usesTime,
  settings,
  unknownParameters,
  terms,
}: StatementExplanation): string {
  const lines = [`Database ${database}, search path ${searchPath.join(', ') || 'empty'}`, ''];
  lines.push(...statement.split('\n').map((line) => `  ${line}`), '');
  if (refusal) lines.push(`  not kept  ${refusal.detail} (${refusal.code})`, `  cure      ${refusal.cure}`);
  else if (usesTime) lines.push('  kept      only on a route with a `ttl`: it depends on the current time');
  else if (terms.length === 0) lines.push('  kept      for as long as its route is: it reads no table');
  else lines.push('  kept      until a change of what it reads');
  if (settings.length > 0)
    lines.push(
      `  settings  ${settings.join(', ')}: kept where the transaction that asks has set them (set_config(…, true))`,
    );
  if (unknownParameters > 0) lines.push('  values    not given: `--param` says them, once for each parameter');
  for (const term of terms) lines.push(...formatTerm(term));
  return `${lines.join('\n')}\n`;
}

const GRAINS = { row: 'the row where', predicate: 'the rows where', table: 'the whole table' } as const;

function formatTerm({ table, grain, alternatives, columns, boundary, obstacles }: ExplainedTerm): string[] {
  const [first = [], ...others] = alternatives;
  const rows = `${GRAINS[grain]}${first.length > 0 ? ` ${first.join(' and ')}` : ''}`;
  const lines = [`  reads     ${table}: ${rows}`];
  for (const other of others) lines.push(`            or where ${other.join(' and ')}`);
  if (boundary !== undefined) lines.push(`            of these, if as many as the limit come back: ${boundary}`);
  lines.push(
    `            ${columns === 'all' ? 'all columns' : columns.length > 0 ? `columns ${columns.join(', ')}` : 'whether they exist, no column'}`,
  );
  for (const { code, because, cure } of obstacles)
    lines.push(`            ${because} (${code})`, `              finer: ${cure}`);
  return lines;
}
