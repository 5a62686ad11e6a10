/**
 * The database is the oracle: statements are run before and after a change, in a transaction that is rolled back. If an
 * answer changed, the change must touch the statement's read set.
 *
 *   begin → rows → savepoint ┬ S statements, once                     S
 *                            └ for each of C changes: the change,     C
 *                              S statements, rollback to savepoint    C · S executions of prepared plans
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { TermIndex } from '../../cache/term-index.ts';
import { loadCatalog } from '../../db/load-catalog.ts';
import { QUICK_SETTINGS_SQL } from '../../db/session-settings.ts';
import { type Analyzer, createAnalyzer, createTableReader } from '../analyzer.ts';
import type { Catalog } from '../catalog.ts';
import type { Change } from '../change.ts';
import type { Term } from '../read-set.ts';
import type { Template, TemplateParts } from '../template.ts';
import { touches } from '../touches.ts';
import { literal } from './kinds.fuzz.ts';
import { createRecorder, type Degrade, installRecorder, RAW, type Recorder } from './recorder.fuzz.ts';
import { asReader, asWriter, type OracleSession, SETTINGS } from './session.fuzz.ts';

export interface OracleStatement {
  readonly sql: string;
  readonly parameters: readonly (string | null)[];
  /** Its classes, for the measure of precision. */
  readonly kinds: readonly string[];
  /** `count`: which rows a LIMIT without ORDER BY returns is anybody's guess. @defaultValue 'rows' */
  readonly compare?: 'rows' | 'count' | undefined;
}

export interface OracleChange {
  readonly sql: string;
  /** What the session that asks afterwards sets for itself, where that is the change. */
  readonly session?: string | undefined;
  readonly degrade: Degrade;
}

export type Verdict = 'miss' | 'alarm' | 'false alarm' | 'quiet';

export interface OracleCase {
  readonly statement: OracleStatement;
  readonly statementAt: number;
  readonly change: OracleChange;
  readonly changeAt: number;
  readonly verdict: Verdict;
  readonly changes: readonly Change[];
  readonly terms: readonly Term[];
  /** The change is one of a table that the statement reads. */
  readonly isRelated: boolean;
}

export interface OracleEvents {
  onCase(found: OracleCase): void;
  onRefused(statement: OracleStatement, code: string): void;
  /** PostgreSQL itself rejects the statement. */
  onRejected(statement: OracleStatement, message: string): void;
  /** The answer of the statement depends on where rows happen to be stored. */
  onUnstable(statement: OracleStatement): void;
}

export interface Batch {
  /** SQL that fills the tables; rolled back. */
  readonly rows: string;
  readonly statements: readonly OracleStatement[];
  readonly changes: readonly OracleChange[];
}

const SESSION = `set extra_float_digits = 3; set client_min_messages = notice; set plan_cache_mode = force_generic_plan;
  set jit = off; set max_parallel_workers_per_gather = 0; set synchronous_commit = off`;
/** For what is drawn, and may run for ever; not for what is made before it, which must be there however busy the machine is. */
const LIMIT_DRAWN = `set local statement_timeout = '5s'`;
const PUBLICATION = 'vazao_oracle';
/** Of a statement whose answer was missed: before it counts, rows are moved about and plans changed so often. */
const SHUFFLES = 12;
/** Another plan than the generic one, which is kept whatever is set. */
const OTHER_PLAN =
  'set local plan_cache_mode = force_custom_plan; set local enable_hashjoin = off; set local enable_hashagg = off; set local enable_indexscan = off; set local enable_bitmapscan = off';

interface Prepared {
  readonly at: number;
  readonly statement: OracleStatement;
  readonly before: string;
  readonly terms: readonly Term[];
  readonly settings: readonly string[];
  /** Executes it once it is prepared. */
  readonly execute: string;
}

export class Oracle {
  readonly client: pg.Client;
  readonly catalog: Catalog;
  readonly analyzer: Analyzer;
  readonly #readTables: (text: string) => TemplateParts;
  readonly #recorder: Recorder;
  readonly #lineage: ReadonlyMap<number, readonly number[]>;
  readonly #asReader: string;
  readonly #asWriter: string;

  private constructor(client: pg.Client, catalog: Catalog, session: OracleSession | undefined) {
    this.client = client;
    this.#asReader = asReader(session);
    this.#asWriter = asWriter(session);
    this.catalog = catalog;
    this.analyzer = createAnalyzer(catalog, { templatesMax: 200 });
    this.#readTables = createTableReader(catalog);
    this.#recorder = createRecorder(client, catalog);
    this.#lineage = new Map(catalog.tables.map((table) => [table.oid, [table.oid, ...table.ancestors]]));
  }

  /** For the schema as it is now in the client's database. */
  static async create(client: pg.Client, session?: OracleSession | undefined): Promise<Oracle> {
    await client.query(['reset all', SESSION, ...(session ? SETTINGS : []), ...(session?.settings ?? [])].join('; '));
    await installRecorder(client);
    // The catalog must see the tables published. Then the publication goes again: with it PostgreSQL asks each table for a
    // replica identity, which nothing here needs.
    await client.query(`create publication ${PUBLICATION} for all tables`);
    if (session) await client.query(`set session authorization ${session.role}`);
    const catalog = await loadCatalog(client, { publication: PUBLICATION });
    await client.query(`set session authorization default; drop publication ${PUBLICATION}`);
    return new Oracle(client, catalog, session);
  }

  close(): void {
    this.#recorder.close();
  }

  async run(batch: Batch, events: OracleEvents): Promise<void> {
    const { client } = this;
    await client.query('begin');
    try {
      await client.query(`${batch.rows};\n${this.#asReader}; ${LIMIT_DRAWN}; savepoint base`);
      const prepared: Prepared[] = [];
      for (const [at, statement] of batch.statements.entries()) {
        const ready = await this.#prepare(statement, at, events);
        if (ready) prepared.push(ready);
      }
      if (prepared.length === 0) return;
      const index = new TermIndex<Prepared>();
      for (const one of prepared) index.add(one as unknown as Parameters<typeof index.add>[0]);
      for (const [at, change] of batch.changes.entries()) await this.#tryChange(prepared, index, change, at, events);
    } finally {
      await client.query('rollback; deallocate all');
      // pg remembers which names it has prepared.
      (client as unknown as { connection: { parsedStatements: object } }).connection.parsedStatements = {};
    }
  }

  async #prepare(statement: OracleStatement, at: number, events: OracleEvents): Promise<Prepared | undefined> {
    const template = this.analyzer.template(statement.sql);
    assertNamed(statement, template, this.#readTables(statement.sql));
    if (template.refusal) {
      events.onRefused(statement, template.refusal.code);
      return undefined;
    }
    let rows: unknown[][];
    try {
      rows = await this.#execute(statement, at);
    } catch (error) {
      await this.client.query('rollback to base');
      events.onRejected(statement, error instanceof Error ? error.message : String(error));
      return undefined;
    }
    const values = statement.parameters.map((value) => (value === null ? 'null' : literal(value)));
    const execute = `execute q${at}${values.length > 0 ? `(${values.join(', ')})` : ''}`;
    const terms = bind(template, statement, rows);
    return { at, statement, before: digest(statement, toLines(rows)), terms, settings: template.settings, execute };
  }

  async #tryChange(
    prepared: readonly Prepared[],
    index: TermIndex<Prepared>,
    change: OracleChange,
    changeAt: number,
    events: OracleEvents,
  ): Promise<void> {
    if (change.session && (await this.#isNoticed(change.session))) return;
    const sql = `rollback to base; ${this.#asWriter};\n${change.sql};\n${this.#asReader}; ${change.session ?? ''}`;
    const told = await this.#changeAndAsk(prepared, change, sql);
    if (!told || (told.changes.length === 0 && !change.session)) return;
    const { changes, answers } = told;
    const oids = new Set(changes.flatMap(({ relation }) => this.#lineage.get(relation.oid) ?? [relation.oid]));
    const touched = this.#touched(index, prepared, changes);
    for (const [place, one] of prepared.entries()) {
      const { statement, terms, before, at, settings } = one;
      const rows = answers[place];
      if (!rows) continue;
      // Under another value of a setting that it reads the answer is another one.
      if (settings.some((name) => change.session?.includes(name))) continue;
      const after = digest(statement, rows);
      const isTouched = touched.has(one);
      const verdict = before !== after ? (isTouched ? 'alarm' : 'miss') : isTouched ? 'false alarm' : 'quiet';
      if (verdict === 'miss' && !(await this.#isStable(statement, at, sql, change.session ?? ''))) {
        events.onUnstable(statement);
        continue;
      }
      const isRelated = terms.some((term) => oids.has(term.table.oid));
      events.onCase({ statement, statementAt: at, change, changeAt, verdict, changes, terms, isRelated });
    }
  }

  /** Whether a fill in such a session is abandoned: its answer is not shared with the sessions of the catalog. */
  async #isNoticed(change: string): Promise<boolean> {
    const ask = `select ${QUICK_SETTINGS_SQL} as settings`;
    const results = await this.client.query(`rollback to base; ${ask}; ${change}; ${ask}; rollback to base`);
    const [before, after] = (results as unknown as pg.QueryResult[]).flatMap(({ rows }) => rows);
    return before.settings !== after.settings;
  }

  /**
   * The change and all answers after it in one round trip; one by one where a statement fails. Undefined if the change does
   * (a duplicate key and the like). Whether a new row makes an expression fail depends on the order in which conditions are
   * tried, so that a statement that fails after the change makes no case: it has no answer.
   */
  async #changeAndAsk(
    prepared: readonly Prepared[],
    change: OracleChange,
    sql: string,
  ): Promise<{ changes: readonly Change[]; answers: readonly (readonly string[] | undefined)[] } | undefined> {
    const text = `${sql};\n${prepared.map((one) => one.execute).join(';\n')}`;
    try {
      const { changes, results } = await this.#recorder.record(text, change.degrade);
      return { changes, answers: results.slice(-prepared.length).map(toLines) };
    } catch {
      await this.client.query('rollback to base');
    }
    let changes: readonly Change[];
    try {
      ({ changes } = await this.#recorder.record(sql, change.degrade));
    } catch {
      await this.client.query('rollback to base');
      return undefined;
    }
    const answers: (string[] | undefined)[] = [];
    for (const { execute } of prepared) {
      try {
        answers.push(toLines((await this.#recorder.record(`savepoint ask; ${execute}`, 'none')).results[1] ?? []));
      } catch {
        answers.push(undefined);
        await this.client.query('rollback to ask');
      }
    }
    return { changes, answers };
  }

  /**
   * The terms are looked up as the cache does, in its index, and compared one by one as well: what one finds the other must.
   */
  #touched(index: TermIndex<Prepared>, prepared: readonly Prepared[], changes: readonly Change[]): Set<unknown> {
    const found = new Set<unknown>();
    const expected = new Set<unknown>();
    for (const change of changes) {
      const lineage = this.#lineage.get(change.relation.oid) ?? [];
      for (const oid of lineage) index.match(oid, change, (entry) => found.add(entry));
      for (const one of prepared)
        if (one.terms.some((term) => lineage.includes(term.table.oid) && touches(term, change))) expected.add(one);
    }
    const differing = prepared.find((one) => found.has(one) !== expected.has(one));
    if (differing) {
      const terms = JSON.stringify(differing.terms, (key, part) =>
        part instanceof Set ? [...part] : key === 'table' ? part.name : part,
      );
      throw new Error(
        `Only ${found.has(differing) ? 'the index finds' : 'the terms find'} ${JSON.stringify(changes)} to touch ${terms} of ${differing.statement.sql}`,
      );
    }
    return found;
  }

  /** Whether the answers before and after stay what they are when rows only move to other places on disk. */
  async #isStable(statement: OracleStatement, at: number, changeSql: string, session: string): Promise<boolean> {
    const roots = this.catalog.tables.filter((table) => table.kind === 'table' && table.invisible === undefined);
    const answers = async (sql: string, session: string): Promise<Set<string>> => {
      const found = new Set<string>();
      for (let turn = 0; turn < SHUFFLES && found.size < 2; turn++) {
        const moves = turn === 0 ? [] : roots.flatMap((table) => moveRows(table, turn % 2 === 1));
        await this.client.query(sql);
        await this.client.query(
          `${this.#asWriter}; set local session_replication_role = replica; set local client_min_messages = error; set local statement_timeout = 0; ${moves.join('')}`,
        );
        await this.client.query(
          `set local client_min_messages = notice; set local session_replication_role = origin; ${this.#asReader}; ${session}; ${turn % 4 > 1 ? OTHER_PLAN : ''}`,
        );
        const answer = await this.#execute(statement, at).catch(String);
        found.add(typeof answer === 'string' ? answer : digest(statement, toLines(answer)));
      }
      return found;
    };
    const before = await answers('rollback to base', '');
    const after = await answers(changeSql, session);
    await this.client.query('rollback to base');
    await this.#recorder.record(changeSql, 'none'); // as it was
    return before.size === 1 && after.size === 1 && ![...before].some((answer) => after.has(answer));
  }

  async #execute(statement: OracleStatement, at: number): Promise<unknown[][]> {
    const { rows } = await this.client.query<unknown[]>({
      name: `q${at}`,
      text: statement.sql,
      values: [...statement.parameters],
      rowMode: 'array',
      types: RAW,
    });
    return rows;
  }
}

/** What would be said of the statement if it were too long: all that is said of it, at least. */
function assertNamed({ sql }: OracleStatement, template: Template, named: TemplateParts): void {
  if (named.finding) return;
  const tables = new Set(named.terms.map(({ table }) => table));
  const lost = [
    ...(template.refusal ? [`the refusal ${template.refusal.code}`] : []),
    ...template.terms.filter(({ table }) => !tables.has(table)).map(({ table }) => `the table ${table.name}`),
    ...template.settings.filter((name) => !named.settings.has(name)).map((name) => `the setting ${name}`),
    ...(template.usesTime && !named.usesTime ? ['the time'] : []),
  ];
  if (lost.length > 0) throw new Error(`By the tables that it names, ${lost.join(', ')} is lost of ${sql}`);
}

function toLines(rows: readonly (readonly unknown[])[]): string[] {
  return rows.map((row) => JSON.stringify(row));
}

/** The read set, narrowed by the answer where it is the top of a table. */
function bind(template: Template, statement: OracleStatement, rows: readonly (readonly unknown[])[]): readonly Term[] {
  const { topN } = template;
  if (!topN) return template.bind(statement.parameters).terms;
  const boundary = rows.at(-1)?.[topN.position] as string | null | undefined;
  return template.narrow(statement.parameters, { rowCount: rows.length, boundary }).terms;
}

const DIGEST_ABOVE = 2_000;

function digest(statement: OracleStatement, rows: readonly string[]): string {
  if (statement.compare === 'count') return String(rows.length);
  const text = rows.toSorted().join('\n');
  return text.length > DIGEST_ABOVE ? createHash('sha256').update(text).digest('base64') : text;
}

/**
 * Moves rows of a table to new places: all of them in reverse, so that any two that tie are met the other way round, or about half.
 */
function moveRows(table: Catalog['tables'][number], inReverse: boolean): string[] {
  // The last one: an identity, which can't be written, comes first.
  const column = table.columns.findLast(({ generated }) => !generated)?.name;
  if (column === undefined) return [];
  const name = `${quote(table.schema)}.${quote(table.name)}`;
  const update = `update only ${name} set ${quote(column)} = ${quote(column)}`;
  if (!inReverse) return [`${update} where random() < 0.5; `];
  return [
    `do $$ declare vazao_place tid; begin
      for vazao_place in select ctid from only ${name} order by ctid desc loop ${update} where ctid = vazao_place; end loop;
    end $$; `,
  ];
}

export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
