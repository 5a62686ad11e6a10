import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { StatementRecord } from '../cache/index.ts';
import { createBoundaryReader, type Template } from '../readset/index.ts';
import { settingChanges, settingSql } from './fill-transaction.ts';
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

const ofSettings = new WeakSet<object>();

/** It was what a statement wants to be set that failed, and not the statement. */
export function isOfSettings(error: object): boolean {
  return ofSettings.has(error);
}

/**
 * In the transaction that is open on the client, with what its statement wants to be set, and nothing that another has set there. Both
 * go out together on a pipelined connection.
 */
export async function sendWithSettings(client: PooledClient, statement: Statement): Promise<pg.QueryResult> {
  const { settings } = statement;
  const config = namedByZone(statement.config, settings?.get('timezone') ?? '');
  if (!settings && client.localSettings.size === 0) return client.send(config);
  const changes = settingChanges(client.localSettings, settings ?? NONE, client.ownSettings);
  if (changes.length === 0) return client.send(config);
  for (const [name, value] of changes) client.localSettings.set(name, value);
  const isSet = client.send(settingSql(changes));
  isSet.catch((error: Error) => ofSettings.add(error)); // told below
  try {
    return await client.send(config);
  } catch (error) {
    await isSet; // the cause, if it failed
    throw error;
  }
}

/**
 * A named statement keeps what its literals meant in the time zone that it was prepared in. So within a fill it has a name of its zone:
 * whoever prepares one elsewhere, with whatever zone set, prepares another.
 */
function namedByZone(config: pg.QueryConfig, zone: string): pg.QueryConfig {
  const { name } = config;
  if (name === undefined) return config;
  const digest = createHash('sha256').update(`${zone}\0${name}`).digest('base64url');
  return { ...config, name: `vazao ${digest}` };
}

const NONE: ReadonlyMap<string, string> = new Map();
