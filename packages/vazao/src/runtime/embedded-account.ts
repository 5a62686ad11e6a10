/** Who the embedded PostgreSQL runs as, and how a process of that user is started. */
import { type ChildProcess, execFileSync, type SpawnSyncOptions, spawn, spawnSync } from 'node:child_process';
import { chownSync, lstatSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RuntimeError } from './errors.ts';

/** Undefined members: as this process. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Words before the command; empty: Node itself changes the user. */
  readonly prefix: readonly string[];
}

/**
 * PostgreSQL refuses to run as root. As root we run it as the owner of its folder, else as `postgres`, else as `nobody`.
 * Such a user may not be able to enter the folders on the way (`/root/project` is closed to others). Only then it keeps
 * one capability, granted by `setpriv` (util-linux): to read and enter folders, or, where a container took that one
 * away from root, to pass all file permissions.
 */
export async function resolveAccount(folder: string, binary: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(join(folder, 'data')).catch(() => findNamed(folder));
  const user = owner && owner.uid !== 0 ? owner : (lookUpUser('postgres') ?? lookUpUser('nobody'));
  if (!user) {
    throw new RuntimeError(
      'ERR_RUNTIME_POSTGRES_AS_ROOT',
      'PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as. Create one (`useradd --system postgres`), or run as another user.',
    );
  }
  chownSync(folder, user.uid, user.gid);
  const candidates: Account[] = [[], grant(user, 'dac_read_search'), grant(user, 'dac_override')].map((prefix) => ({
    uid: user.uid,
    gid: user.gid,
    prefix,
  }));
  const account = candidates.find((candidate) => canReach(candidate, folder, binary));
  if (!account) {
    throw new RuntimeError(
      'ERR_RUNTIME_POSTGRES_AS_ROOT',
      `PostgreSQL does not run as root, and the user it would run as (uid ${user.uid}) can't reach ${folder} or ${binary}. Run as another user, or move the project and VAZAO_DATA to a folder that everybody may enter, such as /srv.`,
    );
  }
  return account;
}

/** Starts a program as the account, in a process group of its own: Ctrl-C in the terminal is for us, and we stop the server when its clients are gone. */
export function spawnAs(
  account: Account | undefined,
  command: string,
  words: readonly string[],
  options: { readonly cwd: string; readonly stdio: 'pipe' | ['ignore', number, number] },
): ChildProcess {
  const [first, rest, identity] = commandAs(account, command, words);
  return spawn(first, rest, { ...options, ...identity, detached: true, env: minimalEnvironment() });
}

/** Gives a file that root made to the account. A link is left alone: its target may be anybody's. */
export function giveTo(account: Account | undefined, file: string): void {
  if (account && lstatSync(file).isFile()) chownSync(file, account.uid, account.gid);
}

/**
 * `access(2)`, by which PostgreSQL looks for its own programs, sets capabilities aside for a user other than root, unless
 * `no_setuid_fixup` is on. The program that is run then still has only what is named here.
 */
function grant(user: { uid: number; gid: number }, capability: string): string[] {
  const sets = ['inh', 'ambient'].map((set) => `--${set}-caps=-all,+${capability}`);
  return [
    'setpriv',
    `--reuid=${user.uid}`,
    `--regid=${user.gid}`,
    '--clear-groups',
    '--securebits=+no_setuid_fixup',
    ...sets,
    '--',
  ];
}

function canReach(account: Account, folder: string, binary: string): boolean {
  const script = 'test -x "$1" && cd "$2" && test -w .';
  const [command, words, identity] = commandAs(account, 'sh', ['-c', script, 'sh', binary, folder]);
  const options: SpawnSyncOptions = { ...identity, cwd: '/', stdio: 'ignore', env: minimalEnvironment() };
  return spawnSync(command, words, options).status === 0;
}

function commandAs(
  account: Account | undefined,
  command: string,
  words: readonly string[],
): [string, string[], { uid?: number; gid?: number }] {
  if (!account) return [command, [...words], {}];
  const [first, ...rest] = account.prefix;
  if (first === undefined) return [command, [...words], { uid: account.uid, gid: account.gid }];
  return [first, [...rest, command, ...words], {}];
}

/** The server inherits no secret of ours, no `PG…` variable, and needs no installed locale. */
function minimalEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'TZ', 'TMPDIR', 'LD_LIBRARY_PATH', 'SYSTEMROOT'];
  return { ...Object.fromEntries(kept.map((name) => [name, process.env[name]])), LC_ALL: 'C' };
}

/** The owner of a folder; undefined without a name on this machine (a mounted folder of the host's user), which `initdb` needs. */
async function findNamed(folder: string): Promise<{ uid: number; gid: number } | undefined> {
  const owner = await stat(folder);
  return lookUpUser(String(owner.uid)) && owner;
}

function lookUpUser(name: string): { uid: number; gid: number } | undefined {
  const id = (flag: string): number =>
    Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }));
  try {
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return undefined; // no such user
  }
}
