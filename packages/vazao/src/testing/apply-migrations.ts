import type pg from 'pg';
import { migrate } from '../runtime/migrate.ts';

/** Applies migrations as a server does, which finds nothing left to do then: its database can be filled before it starts. */
export async function applyMigrations(client: pg.Client, folder: URL): Promise<void> {
  await migrate({ client, folder, onProgress() {}, signal: new AbortController().signal });
}
