import type pg from 'pg';
import type { StatementRecord } from '../cache/index.ts';
import { createBoundaryReader, type Template } from '../readset/index.ts';
import { settingConfig } from './fill-transaction.ts';
import type { Statement } from './statement.ts';
import type { PooledClient } from './tracked-client.ts';

/** Sends a statement of a fill, and narrows what it read to what its answer shows. */
export async function sendRead(
  client: PooledClient,
  statement: Statement,
  template: Template,
  record: StatementRecord,
): Promise<pg.QueryResult> {
  const { config, values } = statement;
  const boundary = template.topN && createBoundaryReader(template.topN, config.types ?? client);
  const result = await sendWithSettings(
    client,
    boundary ? { ...statement, config: { ...config, types: boundary.types } } : statement,
  );
  record.rows = result.rowCount ?? 0;
  if (boundary) record.terms = template.narrow(values, boundary.read(record.rows)).terms;
  return result;
}

/** In the transaction that is open on the client; what is set ends with it. Both go out together on a pipelined connection. */
export async function sendWithSettings(client: PooledClient, { config, settings }: Statement): Promise<pg.QueryResult> {
  if (!settings) return client.send(config);
  const isSet = client.send(settingConfig(settings));
  isSet.catch(() => {}); // the statement fails by it
  const result = await client.send(config);
  await isSet;
  return result;
}
