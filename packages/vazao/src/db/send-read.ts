import type pg from 'pg';
import type { StatementRecord } from '../cache/index.ts';
import { createBoundaryReader, type Template } from '../readset/index.ts';
import type { Statement } from './statement.ts';
import type { PooledClient } from './tracked-client.ts';

/** Sends a statement of a fill, and narrows what it read to what its answer shows. */
export async function sendRead(
  client: PooledClient,
  { config, values }: Statement,
  template: Template,
  record: StatementRecord,
): Promise<pg.QueryResult> {
  const boundary = template.topN && createBoundaryReader(template.topN, config.types ?? client);
  const result = await client.send(boundary ? { ...config, types: boundary.types } : config);
  record.rows = result.rowCount ?? 0;
  if (boundary) record.terms = template.narrow(values, boundary.read(record.rows)).terms;
  return result;
}
