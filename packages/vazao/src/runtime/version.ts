import { readFileSync } from 'node:fs';

/** Version of this package. */
export function readVersion(): string {
  // Two folders up in the sources and in `dist/` alike.
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
