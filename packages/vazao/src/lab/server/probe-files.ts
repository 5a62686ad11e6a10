/** The probe inside the server's processes leaves files; the monitor reads them. */
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Names the folder, in the environment of the server. */
export const PROBE_FOLDER_VARIABLE = 'VAZAO_LAB_PROBE';
/** What a process has said longer ago is of a process that is gone. */
const STALE_MS = 30_000;

interface Said {
  readonly at: number;
  readonly heapBytes: number;
}

export function writeProbe(folder: string, pid: number, heapBytes: number): void {
  const said: Said = { at: Date.now(), heapBytes };
  const file = join(folder, `${pid}.json`);
  writeFileSync(`${file}.new`, JSON.stringify(said));
  renameSync(`${file}.new`, file);
}

/** Bytes of all heaps; undefined before anything was said. */
export function readProbes(folder: string): number | undefined {
  let sum: number | undefined;
  for (const name of readdirSync(folder)) {
    if (!name.endsWith('.json')) continue;
    const { at, heapBytes } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Said;
    if (Date.now() - at < STALE_MS) sum = (sum ?? 0) + heapBytes;
  }
  return sum;
}
