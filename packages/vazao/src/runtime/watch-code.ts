/**
 * Tells when the code of an application changes. Folders are watched one by one: `node_modules`, those that begin with a dot
 * and those that are named are left out, which a recursive watch would look through first.
 */
import { type Dirent, existsSync, type FSWatcher, readdirSync, watch } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

export interface WatchCodeOptions {
  /** Watched with what is below it. */
  readonly folder: string;
  /** Single files elsewhere. */
  readonly files: readonly string[];
  /** Absolute; not watched. */
  readonly leaveOut: readonly string[];
  /** Called with the absolute paths, when none has changed for {@link QUIET_MS}. */
  readonly onChange: (paths: ReadonlySet<string>) => void;
}

export interface CodeWatch extends Disposable {
  /** False: there are too many folders, or the system allows no more watches. What is watched is still told. */
  readonly isComplete: boolean;
}

/** An editor writes a file in several steps, and a checkout many files. */
const QUIET_MS = 60;
const FOLDERS_MAX = 1_000;
/** What a server loads. Other files are data, which it may write itself. */
const CODE = /\.(?:[cm]?[jt]sx?|json|sql|html)$/;

export function watchCode({ folder, files, leaveOut, onChange }: WatchCodeOptions): CodeWatch {
  const watchers = new Map<string, FSWatcher>();
  let changed = new Set<string>();
  let quiet: NodeJS.Timeout | undefined;
  let isComplete = true;

  const note = (path: string): void => {
    changed.add(path);
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      const paths = changed;
      changed = new Set();
      onChange(paths);
    }, QUIET_MS);
  };
  const add = (at: string, take: (path: string) => void): void => {
    if (watchers.has(at)) return;
    if (watchers.size >= FOLDERS_MAX) {
      isComplete = false;
      return;
    }
    try {
      const watcher = watch(at, { persistent: false }, (_event, name) => take(name === null ? at : join(at, name)));
      watchers.set(at, watcher);
      watcher.on('error', () => forget(at)); // the folder is gone
    } catch {
      isComplete &&= !existsSync(at); // gone meanwhile, or no more watches are to be had
    }
  };
  const forget = (at: string): void => {
    watchers.get(at)?.close();
    watchers.delete(at);
  };
  let isLaterFolder = false;
  const isWatchable = (path: string): boolean =>
    basename(path) !== 'node_modules' && !basename(path).startsWith('.') && !leaveOut.includes(path);
  const addTree = (at: string): void => {
    if (watchers.has(at) || !isWatchable(at)) return;
    const entries = list(at);
    if (!entries) return;
    add(at, (path) => {
      if (CODE.test(path) || files.includes(path)) note(path);
      else addTree(path); // if it is a folder
    });
    for (const entry of entries) {
      const path = join(at, entry.name);
      if (entry.isDirectory()) addTree(path);
      // The first files of a folder that has come may be older than the watch.
      else if (isLaterFolder && CODE.test(path)) note(path);
    }
  };

  addTree(resolve(folder));
  isLaterFolder = true;
  for (const file of files) add(dirname(file), (path) => (files.includes(path) ? note(path) : undefined));
  return {
    get isComplete() {
      return isComplete;
    },
    [Symbol.dispose]() {
      clearTimeout(quiet);
      for (const at of [...watchers.keys()]) forget(at);
    },
  };
}

/** Undefined: it is no folder, or gone. */
function list(folder: string): Dirent[] | undefined {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return undefined;
  }
}
