/** Starts one PostgreSQL for all test files, then Node's test runner with the words given. */
import { spawn } from 'node:child_process';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';

const server = await startTestServer();
const child = spawn(process.execPath, ['--test', ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, VAZAO_TEST_SERVER: server.url },
});
const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? 1)));
await server.stop();
process.exitCode = code;
