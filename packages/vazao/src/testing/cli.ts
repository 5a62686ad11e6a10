/** Runs the real command line in a process of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const MAIN = new URL('../cli/main.ts', import.meta.url).pathname;

export interface CommandRun {
  readonly child: ChildProcess;
  /** What it has said so far. */
  readonly output: { stdout: string; stderr: string };
  /** Exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** The URL it serves at. */
  readonly url: Promise<string>;
}

/** `env` is added to a minimal environment: nothing that the developer has set gets in. */
export function runCommand(words: readonly string[], env: Record<string, string>, cwd: string): CommandRun {
  return watch(spawn(process.execPath, [MAIN, ...words], { cwd, env: { PATH: process.env.PATH, ...env } }));
}

/** Follows a process that serves. */
export function watch(child: ChildProcess): CommandRun {
  const output = { stdout: '', stderr: '' };
  const { promise: url, resolve, reject } = Promise.withResolvers<string>();
  url.catch(() => {}); // not everybody asks for it
  child.stdout?.on('data', (data) => {
    output.stdout += data;
    const found = /(?:ready at|serves on) (http:\S+)/.exec(output.stdout)?.[1];
    if (found !== undefined) resolve(found);
  });
  child.stderr?.on('data', (data) => {
    output.stderr += stripVTControlCharacters(String(data));
  });
  const ended = new Promise<number | string>((done) => {
    child.once('close', (code, signal) => {
      done(code ?? signal ?? 'unknown');
      reject(new Error(`It ended before it served: ${output.stderr}`));
    });
  });
  return { child, output, ended, url };
}

/** What it has said on the standard error, without the progress that a slow start tells of. */
export function complaintsOf({ output }: Pick<CommandRun, 'output'>): string {
  return output.stderr
    .split('\n')
    .filter((line) => !line.startsWith('…'))
    .join('\n');
}

/** Command lines of all processes that contain the text. Slim containers have no `ps`. */
export function listProcesses(text: string): string[] {
  const lines =
    process.platform === 'linux'
      ? readdirSync('/proc')
          .filter((name) => /^\d+$/.test(name))
          .map(readCommandLine)
      : execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => line.includes(text));
}

function readCommandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // it has ended meanwhile
  }
}

/** Writes a small application to a folder, and returns the path of its module. `extra` is code in the object, `routes` in `register`. */
export function writeApplication(
  folder: string,
  extra = '',
  migration = 'create table a (n int);',
  routes = '',
): string {
  mkdirSync(join(folder, 'migrations'), { recursive: true });
  writeFileSync(join(folder, 'migrations/0001_tables.sql'), migration);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const file = join(folder, 'app.ts');
  writeFileSync(
    file,
    `export default {
  name: 'little',
  migrations: new URL('./migrations/', import.meta.url),
  firstPaths: ['/count'],
  async register(app, { db }) {
    app.get('/count', { config: { cache: true } }, async () => (await db.query('select count(*)::int as n from a')).rows[0]);
    app.post('/count', async () => { await db.query('insert into a values (1)'); return {}; });
    app.get('/slow', async () => { await db.query('select pg_sleep(30)'); return {}; });
    ${routes}
  },
  ${extra}
};
`,
  );
  return file;
}
