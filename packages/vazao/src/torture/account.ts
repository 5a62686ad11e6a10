/**
 * What happened around a violation. For people as little as says why it is one: the writes that the answer should have shown or
 * did show, the earlier read that bound it, and what was broken for its host meanwhile. Beside that all that is remembered.
 */
import type { Checker } from './checker.ts';
import type { FaultRecord, FaultScheduler } from './faults.ts';
import type { Read, Violation, Write } from './history.ts';
import type { ReadHistory } from './read-history.ts';

export interface Account {
  readonly text: string;
  /** Every write of the register around it, every read of the client that is remembered, every fault: in lines. */
  readonly window: readonly string[];
}

export interface AccountSources {
  readonly checker: Checker;
  readonly history: ReadHistory;
  readonly faults: Pick<FaultScheduler, 'inForce'>;
  readonly startedAtMs: number;
  /** The position in the log that a token stands for. */
  readonly positionOf: (token: string) => string;
}

interface Event {
  readonly atMs: number;
  readonly text: string;
}

const WINDOW_WRITES = 5;
const WINDOW_BEFORE_MS = 5_000;
/** Consequences of a fault, as far as they can matter to an answer: longer than the lease. */
const FELT_MS = 1_500;

/** Times are in milliseconds since the first read. */
export function giveAccount(violation: Violation, sources: AccountSources): Account {
  const { checker, history, faults, startedAtMs } = sources;
  const { kind, what, atMs, read } = violation;
  const reads = read ? history.of(read.client) : [];
  const due = findBinding(violation, reads);
  const told = (writes: readonly Write[], seen: readonly Read[], broken: readonly FaultRecord[]): readonly string[] =>
    [
      ...writes.map((write) => describeWrite(write, sources)),
      ...seen.map((each) => describeRead(each, violation.kind === 'mixed' ? undefined : violation.register, sources)),
      ...broken.map((fault) => describeFault(fault, sources)),
    ]
      .sort((a, b) => a.atMs - b.atMs)
      .map(({ text }) => text);
  const writes = findWrites(violation, checker);
  const bound = due === undefined ? [] : [due];
  // From the write on that should have been shown.
  const sinceMs = Math.min(read?.startedAtMs ?? atMs, ...writes.map(({ invokedAtMs }) => invokedAtMs));
  const felt = faults
    .inForce(Math.max(sinceMs, atMs - WINDOW_BEFORE_MS), atMs, FELT_MS)
    .filter(({ host }) => host === undefined || read === undefined || host === read.host || host === due?.host);
  const head = `${kind}, at ${(atMs - startedAtMs).toFixed(1)} ms: ${what}.`;
  return {
    text: [head, ...told(writes, [...bound, ...(read ? [read] : [])], felt).map((line) => `  ${line}`)].join('\n'),
    window: told(findWindow(violation, checker), reads, faults.inForce(atMs - WINDOW_BEFORE_MS, atMs, 0)),
  };
}

/** The write that was shown, the first that ended it, and the one that was due; of two registers where they contradict. */
function findWrites({ register, version, due, read, kind }: Violation, checker: Checker): readonly Write[] {
  if (register === undefined) return [];
  const { writes } = checker.logs[register] ?? { writes: [] };
  const found = new Set([writes[version ?? 0], writes[(version ?? 0) + 1], writes[due ?? 0]]);
  if (kind === 'mixed' && read) found.add(findLatest(read, checker));
  if (kind === 'invented' || kind === 'missing') for (const write of writes.slice(-1)) found.add(write);
  return [...found].filter((write) => write !== undefined);
}

/** The write that began last of those that the answer shows: with it everything had to be shown that was done before. */
function findLatest({ shown }: Read, checker: Checker): Write | undefined {
  let latest: Write | undefined;
  for (let at = 0; at < shown.length; at += 2) {
    const write = checker.logs[shown[at] as number]?.writes[shown[at + 1] as number];
    if (write && write.invokedAtMs > (latest?.invokedAtMs ?? Number.NEGATIVE_INFINITY)) latest = write;
  }
  return latest;
}

/** The first read by which the client had seen what it was to see again. */
function findBinding({ kind, register, due, read }: Violation, reads: readonly Read[]): Read | undefined {
  if (kind !== 'backwards' && kind !== 'own write') return undefined;
  return reads.find(
    (earlier) =>
      earlier !== read &&
      earlier.shown.some(
        (value, at) => at % 2 === 0 && value === register && (earlier.shown[at + 1] as number) >= (due ?? 0),
      ),
  );
}

function findWindow({ register, version, due }: Violation, checker: Checker): readonly Write[] {
  if (register === undefined) return [];
  const first = Math.min(version ?? 0, due ?? version ?? 0) - WINDOW_WRITES;
  const last = Math.max(version ?? 0, due ?? 0) + WINDOW_WRITES;
  const writes = checker.logs[register]?.writes.slice(Math.max(1, first), last + 1) ?? [];
  return writes.filter((write) => write !== undefined);
}

function describeWrite(write: Write, { checker: { names }, startedAtMs }: AccountSources): Event {
  const { writer, registers, versions, outcome, client, invokedAtMs, endedAtMs } = write;
  const what = registers.map((register, index) => `${names[register]} ${versions[index]}`).join(', ');
  const by = `${writer}${client === undefined ? '' : ` of client ${client}`}`;
  return {
    atMs: invokedAtMs,
    text: `${span(invokedAtMs, endedAtMs, startedAtMs)}  write  ${what} by ${by}, ${outcome}`,
  };
}

function describeRead(read: Read, register: number | undefined, sources: AccountSources): Event {
  const { checker, positionOf, startedAtMs } = sources;
  const position = (token: string | undefined): string => (token === undefined ? 'none' : positionOf(token));
  const { client, connection, host, url, user, status, shown, carried, given } = read;
  const places = new Set<string>();
  for (let at = 0; at < shown.length; at += 2) {
    const name = checker.names[shown[at] as number];
    if (register === undefined || shown[at] === register) places.add(`${name} ${shown[at + 1]}`);
  }
  const who = `client ${client}, connection ${connection} to ${host}`;
  const asked = `${url}${user === undefined ? '' : ` as ${user}`}`;
  const token = carried || given ? `; token ${position(carried)} → ${position(given)}` : '';
  return {
    atMs: read.startedAtMs,
    text: `${span(read.startedAtMs, read.endedAtMs, startedAtMs)}  read   ${who}: ${asked} shows ${[...places].join(', ') || 'nothing of it'} (${status}${token})`,
  };
}

function describeFault({ kind, detail, startedAtMs, endedAtMs }: FaultRecord, sources: AccountSources): Event {
  return {
    atMs: startedAtMs,
    text: `${span(startedAtMs, endedAtMs, sources.startedAtMs)}  fault  ${kind}${detail && `: ${detail}`}`,
  };
}

function span(fromMs: number, toMs: number, startedAtMs: number): string {
  const time = (ms: number): string => (Number.isFinite(ms) ? (ms - startedAtMs).toFixed(1) : 'open').padStart(10);
  return `${time(fromMs)} to ${time(toMs)}`;
}
