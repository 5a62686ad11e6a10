/**
 * `vazao torture`: starts the stage, lets writers and readers work while faults come and go, and judges what was seen.
 *
 *   0 ──── quiet ────► faults ────────────────► no new faults, all mended ──► quiet ──► rest: compare ──► report
 *
 * One process, and so one clock, writes, reads and breaks: an answer's time can be compared with a commit's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { formatLsn } from '../feed/lsn.ts';
import { LEASE_MS_DEFAULT } from '../feed/options.ts';
import { POSITION_HEADER, PositionTokens } from '../http/position-token.ts';
import { type Account, giveAccount } from './account.ts';
import { Balancer } from './balancer.ts';
import { Checker } from './checker.ts';
import { type Carrier, Client } from './client.ts';
import { CompiledReader, indexRegisters } from './compiled-reader.ts';
import { TortureError } from './errors.ts';
import { EXCUSE_MAX_MS, isExcused } from './excuses.ts';
import type { FaultKind, FaultWorld } from './fault.ts';
import { FaultScheduler } from './faults.ts';
import { Pace } from './pace.ts';
import { findPostgresPrograms } from './parts/postgres-programs.ts';
import { ProcessorTime } from './processor-time.ts';
import { type Profile, REGISTERS_MAX } from './profile.ts';
import { createRandom } from './random.ts';
import { ReadHistory } from './read-history.ts';
import { createReference } from './reference.ts';
import { compareAtRest, type RestFigures } from './rest.ts';
import { Settler } from './settler.ts';
import type { Stage, StageOptions } from './stage.ts';
import { runStatementLane } from './statement-lane.ts';
import { Staleness, Traffic } from './traffic.ts';
import { WriteBook } from './write-book.ts';

export interface TortureOptions extends Pick<StageOptions, 'application' | 'profile'> {
  readonly stage: Stage;
  /** From the first read to the last. At least 10. */
  readonly seconds: number;
  readonly seed: number;
  readonly kinds: readonly FaultKind[];
  /** Added to the environment of the hosts. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** End at the first wrong answer. @defaultValue false */
  readonly untilViolation?: boolean | undefined;
  /** Called every second. */
  readonly onProgress?: ((progress: TortureProgress) => void) | undefined;
  /** Called at once for each of the first violations, with what happened around it. */
  readonly onViolation?: ((account: string) => void) | undefined;
  /** Ends the run early, and in order. */
  readonly signal?: AbortSignal | undefined;
}

export interface TortureProgress {
  readonly elapsedMs: number;
  readonly reads: number;
  readonly writes: number;
  readonly faults: number;
  readonly inForce: readonly string[];
  readonly violations: number;
}

export interface TortureOutcome {
  readonly seed: number;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly checker: Checker;
  readonly traffic: Traffic;
  readonly writes: WriteBook;
  readonly faults: FaultScheduler;
  /** Of the first violations: what happened around each. */
  readonly accounts: readonly Account[];
  readonly processorTime: ProcessorTime;
  readonly stalenessQuiet: Staleness;
  readonly stalenessFaulty: Staleness;
  readonly rest: RestFigures | undefined;
}

/** A third each of what clients do; see `client.ts`. */
const CARRIERS: readonly Carrier[] = ['header', 'cookie', 'nothing'];
/**
 * So many that those who wait for a part that is broken leave the rest of the machine its work; and few enough for one process
 * to let all of them wait for its database (20 for each of its connections).
 */
export const CLIENTS = 128;
const READS_PER_SECOND = 12_000;
const REQUEST_WRITES_PER_SECOND = 8;
const STATEMENT_LANES = 3;
const STATEMENT_WRITES_PER_SECOND = 3;
const FAULT_LANES = 3;
/** Of faults: in ten minutes each kind comes 21 times. */
const ROUNDS_PER_MINUTE = 2.1;
/** Timers of four processes on two cores. */
const SLACK_MS = 250;
/** More than these say nothing new. */
const ACCOUNTS_MAX = 5;
const PROOF_RENEWAL_MS = 4 * 60_000;
const TICK_MS = 1_000;
const QUIET_SHARE = 0.1;
const QUIET_MAX_MS = 20_000;
/** Consequences of a fault are felt so long after it. */
export const AFTER_FAULT_MS = 1_000;

/** Runs to the end; the stage is open, and its hosts don't run yet. Throws when a part of the stage, or the profile, fails. */
export async function runTorture(options: TortureOptions): Promise<TortureOutcome> {
  const { stage, profile, application, seed, kinds, environment = {}, onProgress = () => {} } = options;
  assertProfile(profile);
  const clock = (): number => performance.now();
  const random = createRandom(seed);
  const indexes = indexRegisters(profile);
  const readers = profile.readers.map((reader) => new CompiledReader(reader, indexes));
  await using acquired = new AsyncDisposableStack();
  const proofs = acquired.use(await createProofs(profile, stage.secret));
  await Promise.all(stage.hosts.filter(({ isRunning }) => !isRunning).map((host) => host.start(environment)));
  const reference = acquired.use(await createReference(application, stage.databaseUrl, stage.secret));

  const tokens = new PositionTokens(stage.secret);
  const positionOf = (token: string): string => {
    const found = tokens.find([POSITION_HEADER, token]);
    return found ? formatLsn(found.position) : 'unreadable';
  };
  const startedAtMs = clock();
  const history = new ReadHistory(CLIENTS);
  const accounts: Account[] = [];
  const checker = new Checker({
    registers: profile.registers,
    clients: CLIENTS,
    leaseMs: LEASE_MS_DEFAULT,
    slackMs: SLACK_MS,
    onViolation(violation) {
      if (accounts.length >= ACCOUNTS_MAX) return;
      const account = giveAccount(violation, { checker, history, faults, startedAtMs, positionOf });
      accounts.push(account);
      options.onViolation?.(account.text);
    },
  });
  const traffic = new Traffic(startedAtMs);
  const ending = new AbortController();
  const noMoreFaults = new AbortController();
  const settler = new Settler({
    checker,
    cluster: stage.cluster,
    databaseName: stage.databaseName,
    reference,
    readers,
    proof: proofs.of,
    clock,
  });
  const writes = new WriteBook({
    checker,
    writers: profile.writers,
    indexes,
    random: random.fork('writes'),
    clock,
    requestsPerSecond: REQUEST_WRITES_PER_SECOND,
    onLost: (write) => settler.take(write),
  });
  const world: FaultWorld = { stage, profile, environment, onFailover: () => checker.failedOver(clock()) };
  const totalMs = options.seconds * 1_000;
  const quietMs = Math.min(QUIET_MAX_MS, totalMs * QUIET_SHARE);
  const available = kinds.filter((kind) => kind.missing(world) === undefined);
  const faults = new FaultScheduler({
    world,
    random: random.fork('faults'),
    clock,
    kinds: available,
    lanes: FAULT_LANES,
    periodMs: (totalMs - 2 * quietMs) / Math.ceil((options.seconds / 60) * ROUNDS_PER_MINUTE),
    signal: noMoreFaults.signal,
  });
  const stalenessQuiet = new Staleness();
  const stalenessFaulty = new Staleness();
  const processorTime = new ProcessorTime(stage);
  const balancer = new Balancer(stage.hosts);
  const readPace = new Pace(READS_PER_SECOND, clock);
  const clients = Array.from({ length: CLIENTS }, (_, id) => {
    const carrier = CARRIERS[id % CARRIERS.length] as Carrier;
    return new Client(
      id,
      carrier,
      {
        clock,
        checker,
        judge(read) {
          history.add(read);
          return checker.read(read);
        },
        traffic,
        balancer,
        readers,
        writes,
        readPace,
        signal: ending.signal,
        proof: proofs.of,
        stalenessOf: (atMs) => (faults.isQuiet(atMs, AFTER_FAULT_MS) ? stalenessQuiet : stalenessFaulty),
        onFailure(host, fromMs, toMs, what) {
          if (isExcused(faults.inForce(fromMs, toMs, EXCUSE_MAX_MS), host.name, fromMs, toMs)) return;
          checker.report(
            'unavailable',
            `A request failed, and nothing that was broken excuses it: ${what}. The log of the host ends with ${host.lastWords()}`,
            toMs,
          );
        },
      },
      random.fork(`client ${id}`),
    );
  });
  const programs = await findPostgresPrograms();
  const lanes = Array.from({ length: STATEMENT_LANES }, (_, lane) =>
    runStatementLane({
      databaseUrl: stage.databaseUrl,
      programs,
      writes,
      random: random.fork(`statements ${lane}`),
      clock,
      perSecond: STATEMENT_WRITES_PER_SECOND,
      signal: ending.signal,
    }),
  );

  // Whatever ends early ends the rest; all are waited for.
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const watched = <T>(work: Promise<T>): Promise<T> => {
    work.catch(failed.reject);
    return work;
  };
  const isOver = (): boolean =>
    options.signal?.aborted === true ||
    (options.untilViolation === true && checker.violations.some(({ kind }) => kind !== 'unavailable'));
  const work = [...clients.map((client) => client.run()), ...lanes].map(watched);
  processorTime.sample();
  const tick = setInterval(() => {
    processorTime.sample();
    onProgress({
      elapsedMs: clock() - startedAtMs,
      reads: traffic.reads,
      writes: checker.writes.length,
      faults: faults.records.length,
      inForce: faults.inForce(clock(), clock(), 0).map(({ kind }) => kind),
      violations: checker.violations.length,
    });
  }, TICK_MS);
  let rest: RestFigures | undefined;
  let endedAtMs: number;
  try {
    const until = async (atMs: number): Promise<void> => {
      while (clock() < atMs && !isOver()) await Promise.race([delay(100), failed.promise]);
    };
    await until(startedAtMs + quietMs);
    const broken = watched(faults.run());
    await until(startedAtMs + totalMs - quietMs);
    noMoreFaults.abort();
    await Promise.race([broken, failed.promise]);
    await until(Math.max(startedAtMs + totalMs, clock() + quietMs / 2));
    writes.close();
    ending.abort();
    await Promise.race([Promise.all(work), failed.promise]);
    await settler.idle();
    // What follows has no readers: it must not count as their time, nor what it takes as their work.
    clearInterval(tick);
    endedAtMs = clock();
    if (!isOver()) {
      rest = await compareAtRest({
        checker,
        hosts: stage.hosts,
        readers,
        users: [undefined, ...Object.keys(profile.users)],
        proof: proofs.of,
        reference,
        clock,
        environment,
      });
    }
  } finally {
    clearInterval(tick);
    noMoreFaults.abort();
    ending.abort();
    await Promise.allSettled(work);
  }
  return {
    seed,
    startedAtMs,
    endedAtMs,
    checker,
    traffic,
    writes,
    faults,
    accounts,
    processorTime,
    stalenessQuiet,
    stalenessFaulty,
    rest,
  };
}

/** Throws {@link TortureError} for a profile that contradicts itself. */
export function assertProfile({ registers, readers, writers, users }: Profile): void {
  const wrong = (what: string): TortureError => new TortureError('ERR_TORTURE_PROFILE', `The profile ${what}.`);
  if (registers.length === 0 || registers.length > REGISTERS_MAX) {
    throw wrong(`has ${registers.length} registers; allowed are 1 to ${REGISTERS_MAX}`);
  }
  if (new Set(registers).size < registers.length) throw wrong('names a register twice');
  const unread = registers.filter((name) => !readers.some(({ shows }) => shows.includes(name)));
  if (unread.length > 0) throw wrong(`has no reader that always shows ${unread.join(', ')}`);
  const unwritten = registers.filter((name) => !writers.some((writer) => writer.registers.includes(name)));
  if (unwritten.length > 0) throw wrong(`has no writer of ${unwritten.join(', ')}`);
  const named = [
    ...readers.map(({ user }) => user),
    ...writers.map((w) => (w.kind === 'request' ? w.user : undefined)),
  ];
  const unknown = named.find((user) => user !== undefined && !Object.hasOwn(users, user));
  if (unknown !== undefined) throw wrong(`lets ${unknown} ask, who is none of its users`);
}

interface Proofs extends Disposable {
  readonly of: (user: string | undefined) => Readonly<Record<string, string>>;
}

/** The headers of each user, renewed before they run out. */
async function createProofs({ users }: Profile, secret: string): Promise<Proofs> {
  const headers = new Map<string, Readonly<Record<string, string>>>();
  const renew = async (): Promise<void> => {
    for (const [name, user] of Object.entries(users)) headers.set(name, await user.headers(secret));
  };
  await renew();
  const timer = setInterval(() => void renew(), PROOF_RENEWAL_MS);
  const nobody = {};
  return {
    of: (user) => (user === undefined ? nobody : (headers.get(user) ?? nobody)),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
