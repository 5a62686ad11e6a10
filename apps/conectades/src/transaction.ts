import { setTimeout as delay } from 'node:timers/promises';
import type { Client, Database } from './database.ts';
import { isWorthRetrying } from './sqlstate.ts';

const RETRY_DELAYS_MS = [5, 25, 100] as const;

/**
 * Runs the work in one transaction, and again (bounded) after a deadlock or a serialization failure. The work may run more
 * than once, so it must have no effect outside the database.
 */
export async function inTransaction<T>(db: Database, work: (client: Client) => Promise<T>): Promise<T> {
  for (const delayMs of RETRY_DELAYS_MS) {
    try {
      return await runOnce(db, work);
    } catch (error) {
      if (!isWorthRetrying(error)) throw error;
      await delay(delayMs * (0.5 + Math.random()));
    }
  }
  return runOnce(db, work);
}

async function runOnce<T>(db: Database, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await db.connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((cause) => {
      broken = cause;
    });
    throw error;
  } finally {
    client.release(broken); // a connection that could not roll back is thrown away
  }
}
