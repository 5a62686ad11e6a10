import type pg from 'pg';
import { PUBLICATION_DEFAULT } from '../../feed/options.ts';
import { planPublication, quoteTable } from '../../feed/publication-plan.ts';
import { findPublicationSql, type PublicationRow, publicationOptions } from '../../feed/sql/find-publication.ts';
import { FIND_TABLES_SQL, type TableRow } from '../../feed/sql/find-tables.ts';
import { advice, type Finding, failure, ok } from './finding.ts';

/** Whether the publication is there, carries everything, and names the tables. */
export async function checkPublication(client: pg.Client): Promise<readonly Finding[]> {
  const check = 'publication';
  const version = await client.query("select current_setting('server_version_num')::int4 as number");
  const { number } = version.rows[0];
  const { rows } = await client.query<PublicationRow>(findPublicationSql(number), [PUBLICATION_DEFAULT]);
  const publication = rows[0];
  if (!publication) return [ok(check, 'there is no publication yet; the first start creates it')];
  if (publication.allTables) {
    return [
      failure(
        check,
        `The publication ${PUBLICATION_DEFAULT} is for all tables, which makes updates of a table without a key fail.`,
        `DROP PUBLICATION ${PUBLICATION_DEFAULT};`,
        'The next start creates the one it needs.',
      ),
    ];
  }
  if (!publication.optionsRight) {
    const statement = `ALTER PUBLICATION ${PUBLICATION_DEFAULT} SET (${publicationOptions(number)});`;
    return [
      publication.owned
        ? advice(check, 'The publication has options that lose changes; the next start sets them.', statement)
        : failure(check, 'The publication has options that lose changes, and belongs to another role.', statement),
    ];
  }
  const plan = await planFrom(client);
  const missing = [...plan.add, ...plan.drop].map(quoteTable);
  return [
    missing.length === 0
      ? ok(check, `the publication carries ${plan.published.length} tables`)
      : advice(
          check,
          `The publication is not in step with the tables (${missing.join(', ')}); the next start mends it, a running server has done so within a second.`,
        ),
  ];
}

/** How much of an old row the log carries, table by table. */
export async function checkReplicaIdentities(client: pg.Client): Promise<readonly Finding[]> {
  const { leftOut, published } = await planFrom(client);
  const findings: Finding[] = leftOut.map(({ table, reason, remedy }) =>
    advice(
      'replica identity',
      `${table} can't be followed (${reason}): answers that read it are not cached.`,
      `${remedy};`,
    ),
  );
  const onlyKey = published.filter(
    (table) => table.kind === 'ordinary' && table.identity !== 'full' && !table.hasVirtualColumn,
  );
  if (onlyKey.length > 0) {
    findings.push(
      advice(
        'replica identity',
        `The log carries only the key of old rows of ${onlyKey.length} tables: their changes end more answers than they need to.`,
        ...onlyKey.map((table) => `ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL;`),
      ),
    );
  }
  const full = published.filter((table) => table.identity === 'full').length;
  if (findings.length === 0) return [ok('replica identity', `the log carries old rows whole, of all ${full} tables`)];
  return findings;
}

async function planFrom(client: pg.Client): Promise<ReturnType<typeof planPublication>> {
  const { rows } = await client.query<TableRow>(FIND_TABLES_SQL, [PUBLICATION_DEFAULT]);
  return planPublication(rows, { schemas: undefined, tables: undefined });
}
