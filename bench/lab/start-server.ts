import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface BenchServer extends AsyncDisposable {
  readonly origin: string;
  readonly pid: number;
}

export async function startServer(
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<BenchServer> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'server.ts'), ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return {
    origin: `http://127.0.0.1:${Number(line.toString())}`,
    pid: child.pid as number,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'close');
      child.kill();
      await ended;
    },
  };
}

/** A scenario of one step. */
export function writeOneStep(): Disposable & { readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-bench-lab-'));
  const path = join(folder, 'scenario.ts');
  writeFileSync(path, `export default { name: 'one', steps: [{ name: 'get', request: { path: '/' } }] };\n`);
  return { path, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

export function printTable(rows: readonly (readonly string[])[]): void {
  const [head = [], ...body] = rows;
  console.log(`| ${head.join(' | ')} |\n|${head.map(() => '---').join('|')}|`);
  for (const row of body) console.log(`| ${row.join(' | ')} |`);
  console.log('');
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
