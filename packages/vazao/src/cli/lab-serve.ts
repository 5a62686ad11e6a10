/** Starts and stops one of our applications for the lab: by its command line, under an environment, with what stands around it. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { type Architecture, nginxConfiguration } from '../lab/compare/architectures.ts';
import type { LabQuery, PrepareLab, ResizeLab } from '../lab/scenario/scenario.ts';
import { serveByCommand } from '../lab/server/serve-command.ts';

export interface ServeTree {
  /** Where the commands run. */
  readonly root: string;
  readonly dataFolder: string;
  /** Path of the application's module, from the root. */
  readonly application: string;
  /** What it calls itself. */
  readonly name: string;
  readonly secret: string;
  /** Puts the probe into its processes: the heap after a collection of garbage. */
  readonly probe?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A tree with the module of the scenario. */
export interface LabTree extends ServeTree {
  readonly module: string;
}

export interface ServedArchitecture {
  readonly origin: string;
  readonly pid: number;
  readonly probeFolder: string | undefined;
  stop(): Promise<void>;
}

/** Server and generator share the cores: a server that takes all of them must not make the generator late. The same for all that are compared. */
const POLITE = 'nice -n 10';
/** Where Linux shares the cores among sessions first (sched(7), autogroup), only the session's own word counts. */
const POLITE_SESSION = '{ echo 10 > /proc/self/autogroup; } 2>/dev/null;';
/** With where Debian has servers, which is not in everybody's. */
const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin`;

/** All users of the lab come from one address, which may log in more often than one person (docs/limits.md). */
const ENVIRONMENT: Readonly<Record<string, string>> = { LOG_LEVEL: 'warn', VAZAO_LIMIT_LOGIN: 'off' };

export function missingPrograms({ around }: Architecture): string[] {
  return around.filter(
    (program) => spawnSync(program, ['-v'], { stdio: 'ignore', env: { ...process.env, PATH } }).error !== undefined,
  );
}

/**
 * Creates and fills the database once, as `vazao dev` does, and lets the scenario's module change it (its export `prepare`), so that
 * every architecture finds the same data.
 */
export async function prepareData(tree: LabTree): Promise<void> {
  const port = await findFreePort();
  const command = commandOf(tree, 'dev', { PORT: String(port), LOG_LEVEL: 'error' });
  const served = await serveByCommand(command, {
    origin: `http://127.0.0.1:${port}`,
    probe: false,
    name: `vazao dev ${tree.application}`,
    signal: tree.signal,
  });
  try {
    const { prepare } = await importLab(tree);
    if (prepare) await withDatabase(tree, (query) => prepare(query));
  } finally {
    await served.stop();
  }
}

/** While it serves: makes its data so many times as large, by the module's export `resize`. Undefined where there is none. */
export async function findResize(tree: LabTree): Promise<((factor: number) => Promise<void>) | undefined> {
  const { resize } = await importLab(tree);
  return resize && ((factor) => withDatabase(tree, (query) => resize(query, factor)));
}

function importLab({ module }: LabTree): Promise<{ readonly prepare?: PrepareLab; readonly resize?: ResizeLab }> {
  return import(pathToFileURL(module).href);
}

/** The lab's own, and never the one that DATABASE_URL names: what runs there changes who may log in. */
async function withDatabase({ dataFolder, name }: LabTree, run: (query: LabQuery) => Promise<void>): Promise<void> {
  const client = new pg.Client((await readFile(join(dataFolder, name, 'url'), 'utf8')).trim());
  client.on('error', () => {}); // the statement tells
  await client.connect();
  try {
    await run((text, values) => client.query(text, values as unknown[] | undefined));
  } finally {
    await client.end();
  }
}

/** In production, as `vazao start` serves. One shell starts everything, so that all of it is one tree of processes, and one group to end. */
export async function serveArchitecture(architecture: Architecture, tree: ServeTree): Promise<ServedArchitecture> {
  const folder = await mkdtemp(join(tmpdir(), 'vazao-lab-'));
  try {
    const port = await findFreePort();
    const environment: Record<string, string> = { ...ENVIRONMENT, ...architecture.environment, PORT: String(port) };
    const beside: string[] = [];
    let front = port;
    if (architecture.around.includes('redis-server')) {
      const redisPort = await findFreePort();
      environment.REDIS_URL = `redis://127.0.0.1:${redisPort}`;
      beside.push(
        `redis-server --port ${redisPort} --bind 127.0.0.1 --save '' --maxmemory 256mb --maxmemory-policy allkeys-lru --dir ${quote(folder)}`,
      );
    }
    if (architecture.around.includes('nginx')) {
      front = await findFreePort();
      const file = join(folder, 'nginx.conf');
      await writeFile(file, nginxConfiguration({ folder, port: front, upstreamPort: port }));
      beside.push(`nginx -p ${quote(folder)} -c ${quote(file)}`);
    }
    const around = beside.map((command) => `PATH=${quote(PATH)} ${POLITE} ${command} >/dev/null 2>&1 &`).join(' ');
    const origin = `http://127.0.0.1:${front}`;
    const served = await serveByCommand(
      `${POLITE_SESSION} ${around} exec ${POLITE} ${commandOf(tree, 'start', environment)}`,
      {
        origin,
        probe: tree.probe === true,
        name: architecture.name,
        signal: tree.signal,
      },
    );
    return {
      origin,
      pid: served.pid,
      probeFolder: served.probeFolder,
      stop: async () => {
        await served.stop();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The command line of the tree: its sources if it has them, else the one that is running. */
function commandOf(
  tree: Omit<ServeTree, 'signal'>,
  verb: 'dev' | 'start',
  environment: Readonly<Record<string, string>>,
): string {
  const own = join(tree.root, 'packages/vazao/src/cli/main.ts');
  const main = existsSync(own) ? own : join(import.meta.dirname, `main${extname(import.meta.filename)}`);
  const all = {
    ...environment,
    VAZAO_DATA: tree.dataFolder,
    // A database of the lab's own: it is filled with invented data and written to.
    DATABASE_URL: '',
    VAZAO_SECRET: tree.secret,
    ADMIN_PASSWORD: tree.secret,
    NODE_ENV: verb === 'dev' ? 'development' : 'production',
  };
  const variables = Object.entries(all).map(([name, value]) => quote(`${name}=${value}`));
  const words = [process.execPath, main, verb, tree.application].map(quote);
  return `env -C ${quote(tree.root)} ${[...variables, ...words].join(' ')}`;
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function findFreePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}
