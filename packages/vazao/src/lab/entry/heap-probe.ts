/**
 * Goes into a server's processes with `NODE_OPTIONS=--import`, for a soak: collects garbage every few seconds and says how large
 * the heap is then. The heap of a server that leaks nothing is level after a collection, and a sawtooth otherwise.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';
import { PROBE_FOLDER_VARIABLE, writeProbe } from '../server/probe-files.ts';

const INTERVAL_MS = 2_000;
const folder = process.env[PROBE_FOLDER_VARIABLE];
// Threads have the same flags; theirs are heaps of their own, and few servers have them.
if (folder !== undefined && isMainThread) {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setInterval(() => {
    collect();
    try {
      writeProbe(folder, process.pid, process.memoryUsage().heapUsed);
    } catch {
      // The run is over and its folder gone; the server has nothing to do with that.
    }
  }, INTERVAL_MS).unref();
}
