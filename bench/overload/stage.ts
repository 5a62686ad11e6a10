/** The server of the overload benches and its PostgreSQL, both on core 0 where the machine has `taskset`; whoever starts them is on core 1. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../packages/vazao/src/testing/cli.ts';
import { startTestServer } from '../../packages/vazao/src/testing/server.ts';
import { treeOf } from '../processes.ts';

export const PORT = 8_571;
export const canPin: boolean = spawnSync('taskset', ['--version']).status === 0 && availableParallelism() > 1;

export interface Stage extends AsyncDisposable {
  /** A server of its own for what is done meanwhile. */
  serve<T>(environment: Readonly<Record<string, string>>, work: () => Promise<T>): Promise<T>;
}

export async function openStage(): Promise<Stage> {
  if (canPin) pin(process.pid, 0); // PostgreSQL is started here, and inherits it
  const postgres = await startTestServer();
  if (canPin) pin(process.pid, 1);
  const folder = mkdtempSync(join(tmpdir(), 'vazao-overload-'));
  return {
    async serve(environment, work) {
      const run = runCommand(
        ['start', join(import.meta.dirname, 'app.ts')],
        {
          NODE_ENV: 'production',
          VAZAO_SECRET: 'a secret of more than thirty-two characters',
          PORT: String(PORT),
          WORKERS: '0',
          LOG_LEVEL: 'silent',
          DATABASE_URL: postgres.url,
          VAZAO_DATA: join(folder, 'data'),
          ...environment,
        },
        folder,
      );
      await run.url;
      if (canPin) for (const pid of treeOf(run.child.pid as number)) pin(pid, 0);
      try {
        return await work();
      } finally {
        run.child.kill('SIGKILL');
        await run.ended;
      }
    },
    async [Symbol.asyncDispose]() {
      await postgres.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function pin(pid: number, core: number): void {
  spawnSync('taskset', ['-acp', String(core), String(pid)]);
}
