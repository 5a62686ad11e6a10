/** What happened around a violation, as short as it can be: the writes of its register, that client's reads, the faults. */
import type { Checker } from './checker.ts';
import type { FaultScheduler } from './faults.ts';
import type { Read, Violation, Write } from './history.ts';
import type { ReadHistory } from './read-history.ts';

export interface AccountSources {
  readonly checker: Checker;
  readonly history: ReadHistory;
  readonly faults: FaultScheduler;
  readonly startedAtMs: number;
  /** The position in the log that a token stands for. */
  readonly positionOf: (token: string) => string;
}

const READS_SHOWN = 8;
const WRITES_AROUND = 2;
const FAULTS_BEFORE_MS = 5_000;

/** Times are in milliseconds since the first read. */
export function giveAccount(violation: Violation, sources: AccountSources): string {
  const { checker, history, faults, startedAtMs } = sources;
  const { kind, what, atMs, register, version, due, read } = violation;
  const time = (ms: number): string => (Number.isFinite(ms) ? (ms - startedAtMs).toFixed(1) : 'open').padStart(10);
  const lines = [`${kind}, at ${time(atMs).trim()} ms: ${what}.`];
  const events: { readonly atMs: number; readonly text: string }[] = [];
  if (register !== undefined) {
    const { writes } = checker.logs[register] ?? { writes: [] };
    const first = Math.max(1, Math.min(version ?? 0, due ?? version ?? 0) - WRITES_AROUND);
    const last = Math.max(version ?? 0, due ?? 0) + WRITES_AROUND;
    for (const write of writes.slice(first, last + 1)) {
      if (!write) continue;
      events.push({
        atMs: write.invokedAtMs,
        text: `${time(write.invokedAtMs)} to ${time(write.endedAtMs)}  write  ${describeWrite(write, checker)}`,
      });
    }
  }
  if (read) {
    for (const each of findRelevant(history.of(read.client), register)) {
      events.push({
        atMs: each.startedAtMs,
        text: `${time(each.startedAtMs)} to ${time(each.endedAtMs)}  read   ${describeRead(each, register, sources)}`,
      });
    }
  }
  for (const fault of faults.inForce(atMs - FAULTS_BEFORE_MS, atMs, 0)) {
    events.push({
      atMs: fault.startedAtMs,
      text: `${time(fault.startedAtMs)} to ${time(fault.endedAtMs)}  fault  ${fault.kind}${fault.detail && `: ${fault.detail}`}`,
    });
  }
  events.sort((a, b) => a.atMs - b.atMs);
  return [...lines, ...events.map(({ text }) => `  ${text}`)].join('\n');
}

/** Those that show the register tell how the client came to what it holds; all of the last ones, what it carried then. */
function findRelevant(reads: readonly Read[], register: number | undefined): readonly Read[] {
  const last = reads.slice(-READS_SHOWN);
  if (register === undefined) return last;
  const earlier = reads.slice(0, -READS_SHOWN).filter(({ shown }) => shows(shown, register));
  return [...earlier.slice(-READS_SHOWN / 2), ...last];
}

function shows(shown: Read['shown'], register: number): boolean {
  for (let at = 0; at < shown.length; at += 2) if (shown[at] === register) return true;
  return false;
}

function describeWrite({ writer, registers, versions, outcome, client }: Write, { names }: Checker): string {
  const what = registers.map((register, index) => `${names[register]} ${versions[index]}`).join(', ');
  return `${what} by ${writer}${client === undefined ? '' : ` of client ${client}`}, ${outcome}`;
}

function describeRead(
  read: Read,
  register: number | undefined,
  { checker: { names }, positionOf }: AccountSources,
): string {
  const position = (token: string | undefined): string => (token === undefined ? 'none' : positionOf(token));
  const { client, connection, host, url, user, status, shown, carried, given } = read;
  const places: string[] = [];
  for (let at = 0; at < shown.length; at += 2) {
    if (register === undefined || shown[at] === register) places.push(`${names[shown[at] as number]} ${shown[at + 1]}`);
  }
  return `client ${client}, connection ${connection} to ${host}: ${url}${user === undefined ? '' : ` as ${user}`} shows ${places.join(', ') || 'nothing of it'} (${status}${carried || given ? `; token ${position(carried)} → ${position(given)}` : ''})`;
}
