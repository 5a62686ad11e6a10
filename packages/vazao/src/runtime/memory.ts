/**
 * How `MEMORY_LIMIT` is divided, in MB:
 *
 *   with workers   limit = 120 supervisor + 64 for one that is starting while another leaves + WORKERS × share
 *   WORKERS=0      limit = 80 + share
 *   share          = 44 program and buffers + heap of JavaScript (at least 48) + cache
 *
 * The cache has what CACHE_SIZE says, or else half of what the share has beyond the least, and no more than 256 MB in all.
 * An embedded PostgreSQL is not in it. The constants are what Conectades' processes were seen to take, rounded up; the
 * supervisor's has the program's own pages in it, which all processes share.
 */
import { totalmem } from 'node:os';

const MB: number = 1024 ** 2;
const SUPERVISOR_BYTES: number = 120 * MB;
const RESERVE_BYTES: number = 64 * MB;
const SINGLE_BYTES: number = 80 * MB;
const PROGRAM_BYTES: number = 44 * MB;
const HEAP_MIN_BYTES: number = 48 * MB;
/** More than this V8 takes for itself only when it is told. */
const HEAP_MAX_BYTES: number = 4_096 * MB;
const CACHE_MIN_BYTES: number = 4 * MB;
export const CACHE_DEFAULT_BYTES: number = 256 * MB;
const SHARE_MIN_BYTES: number = PROGRAM_BYTES + HEAP_MIN_BYTES + CACHE_MIN_BYTES;

export interface MemoryShares {
  /** Of each process that serves, without pages of the program that processes share. */
  readonly shareBytes: number;
  /** For V8's old generation. */
  readonly heapBytes: number;
  /** Of all processes together. */
  readonly cacheBytes: number;
}

/** How many processes serve: one alone where there are no workers. */
export function processesOf(workers: number): number {
  return Math.max(1, workers);
}

/** Undefined when it is too little. No workers: one process alone. */
export function shareMemory(
  limitBytes: number,
  workers: number,
  cacheSizeMaxBytes: number | undefined,
): MemoryShares | undefined {
  const processes = processesOf(workers);
  const shareBytes = Math.floor((limitBytes - bytesAround(workers)) / processes);
  const beyond = shareBytes - PROGRAM_BYTES - HEAP_MIN_BYTES;
  const chosen = Math.max(CACHE_MIN_BYTES, Math.min(beyond / 2, CACHE_DEFAULT_BYTES / processes));
  const cacheEach = cacheSizeMaxBytes === undefined ? chosen : cacheSizeMaxBytes / processes;
  const heapBytes = Math.floor(shareBytes - PROGRAM_BYTES - cacheEach);
  if (heapBytes < HEAP_MIN_BYTES) return undefined;
  return {
    shareBytes,
    heapBytes: Math.min(HEAP_MAX_BYTES, heapBytes),
    cacheBytes: Math.floor(cacheEach) * processes,
  };
}

/** What is not shared out. */
function bytesAround(workers: number): number {
  return workers === 0 ? SINGLE_BYTES : SUPERVISOR_BYTES + RESERVE_BYTES;
}

/**
 * What the cache may have where nobody has set a limit, and what was found is too little for so many workers: as much as that
 * of one process alone would have, or else the least.
 */
export function cacheWithoutRoom(limitBytes: number, workers: number): number {
  return shareMemory(limitBytes, 0, undefined)?.cacheBytes ?? processesOf(workers) * CACHE_MIN_BYTES;
}

/** The least that so many workers need; none: that one process alone needs. */
export function leastMemory(workers: number, cacheSizeMaxBytes: number | undefined): number {
  const processes = processesOf(workers);
  const cache = cacheSizeMaxBytes ?? processes * CACHE_MIN_BYTES;
  return bytesAround(workers) + processes * (PROGRAM_BYTES + HEAP_MIN_BYTES) + cache;
}

/** How many workers there is room for; 0: for none beside their supervisor. */
export function workersFor(limitBytes: number): number {
  const room = Math.floor((limitBytes - SUPERVISOR_BYTES - RESERVE_BYTES) / SHARE_MIN_BYTES);
  return Math.max(0, room);
}

/** What the container allows, or else half of the machine: the rest is for its other programs. */
export function detectMemory(): number {
  const allowed = process.constrainedMemory();
  return allowed > 0 && allowed < totalmem() ? allowed : Math.floor(totalmem() / 2);
}

/** Options of V8 for a process with this share. */
export function heapOptions({ shareBytes, heapBytes }: MemoryShares): string[] {
  const isSmall = shareBytes < 256 * MB;
  // New objects have up to three such spaces, 16 MB each if nothing is said.
  return [`--max-old-space-size=${Math.floor(heapBytes / MB)}`, ...(isSmall ? ['--max-semi-space-size=2'] : [])];
}

/** What `rss` may show: it counts the pages of the program in each process. */
export function rssMax({ shareBytes }: MemoryShares): number {
  return shareBytes + 64 * MB;
}
