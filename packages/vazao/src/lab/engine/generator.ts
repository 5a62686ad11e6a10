/** One thread of the generator: takes phases from the session, tells it each second what happened. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { LabError } from '../errors.ts';
import { loadScenario } from '../scenario/load-scenario.ts';
import { ClosedDriver } from './closed-driver.ts';
import { Connections } from './connections.ts';
import type { Driver, DriverParts } from './driver.ts';
import { Exchanger } from './exchange.ts';
import { encodeHistogram } from './histogram.ts';
import { logIn } from './login.ts';
import type { DriveHealth, FromGenerator, GeneratorData, ToGenerator } from './messages.ts';
import { OpenDriver } from './open-driver.ts';
import { createRandom } from './random.ts';
import { Recorder } from './recorder.ts';
import type { Phase } from './schedule.ts';
import { createScript, createUser, type VirtualUser } from './users.ts';

const READ_BYTES = 256 * 1024;
const DELAY_RESOLUTION_MS = 10;
/** A stream of chance that no user has. */
const SAMPLING_STREAM = 0x7fff_ffff;

/** Returns what takes the session's messages. */
export async function serveGenerator(
  data: GeneratorData,
  send: (message: FromGenerator) => void,
): Promise<(message: ToGenerator) => void> {
  const scenario = await loadScenario(data.module);
  const script = createScript(scenario);
  const random = createRandom(data.seed, SAMPLING_STREAM - data.thread);
  const recorder = new Recorder({
    stepNames: script.names,
    samplesMax: data.samplesMax,
    slowestMax: data.slowestMax,
    random,
  });
  const connectionOptions = {
    host: data.host,
    port: data.port,
    bodyBytesMax: data.bodyBytesMax,
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
  };
  const connections = new Connections(connectionOptions, data.connectionsMax, data.timeoutMs);
  const authority = `${data.host.includes(':') ? `[${data.host}]` : data.host}:${data.port}`;
  const exchanger = new Exchanger({ scenario, authority, redirectsMax: data.redirectsMax, recorder });
  const users: VirtualUser[] = [];
  for (let index = data.thread; index < data.users; index += data.threads) users.push(createUser(index, data.seed));
  if (users.length === 0) users.push(createUser(data.thread, data.seed));
  const fail = (error: unknown): void => {
    const code = error instanceof LabError ? error.code : undefined;
    send({ kind: 'failed', code, message: (error as Error)?.message ?? String(error) });
  };
  const parts: DriverParts = { ...data, script, exchanger, connections, recorder, onFailed: fail };
  const open = new OpenDriver({ ...parts, users, metronome: data.metronome });
  const closed = new ClosedDriver(parts);
  const health = createHealthMeter();
  let driver: Driver = open;

  const drive = async (phases: readonly Phase[], beginAt: number, originAt: number): Promise<void> => {
    driver = phases[0]?.load.model === 'closed' ? closed : open;
    const origin = originAt - performance.timeOrigin;
    recorder.begin(phases, beginAt - performance.timeOrigin, origin);
    const before = { arrivals: recorder.lateness.totalCount, timely: recorder.timely };
    health.begin(...measuredOf(phases, beginAt - performance.timeOrigin));
    const tick = (): void => {
      const { inFlight, waiting, users } = driver;
      const second = recorder.takeSecond(atS, { inFlight, waiting, users, connections: connections.size });
      send({ kind: 'second', second });
    };
    let atS = Math.round((beginAt - originAt) / 1_000);
    let timer: NodeJS.Timeout | undefined;
    const schedule = (): void => {
      timer = setTimeout(
        () => {
          tick();
          atS += 1;
          schedule();
        },
        Math.max(0, origin + (atS + 1) * 1_000 - performance.now()),
      );
    };
    schedule();
    await driver.drive(phases, beginAt - performance.timeOrigin);
    clearTimeout(timer);
    tick();
    const own: DriveHealth = {
      arrivals: recorder.lateness.totalCount - before.arrivals,
      timely: recorder.timely - before.timely,
      ...health.end(),
    };
    send({ kind: 'driven', ...recorder.takeCells(), health: own });
  };

  const finish = (): void => {
    connections.close();
    const { samples, sampled, slowest, timely } = recorder;
    const lateness = encodeHistogram(recorder.lateness);
    send({
      kind: 'finished',
      summary: { samples, sampled, slowest, timely, lateness, connectionsMax: connections.most, ...health.worst() },
    });
  };

  send({ kind: 'ready' });
  return (message) => {
    if (message.kind === 'prepare') {
      const prepared = script.login ? logIn(script.login, users, exchanger, connections) : Promise.resolve();
      prepared.then(() => send({ kind: 'ready' }), fail);
    } else if (message.kind === 'drive') drive(message.phases, message.beginAt, message.originAt).catch(fail);
    else if (message.kind === 'stop') driver.stop();
    else finish();
  };
}

type LoopHealth = Pick<DriveHealth, 'eventLoopDelayP99Ms' | 'eventLoopUtilisation'>;

interface HealthMeter {
  /** @param fromAt - begin and end of what is measured, as `performance.now()` */
  begin(fromAt: number, toAt: number): void;
  /** Of this drive. */
  end(): LoopHealth;
  /** Of all drives. */
  worst(): LoopHealth;
}

/** Of the times in which it drove; between them it may do what it likes. */
function createHealthMeter(): HealthMeter {
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  const worst = { eventLoopDelayP99Ms: 0, eventLoopUtilisation: 0 };
  let before = performance.eventLoopUtilization();
  let utilisation: number | undefined;
  let timers: NodeJS.Timeout[] = [];
  const take = (): number => performance.eventLoopUtilization(before).utilization;
  return {
    begin(fromAt, toAt) {
      delay.reset();
      delay.enable();
      before = performance.eventLoopUtilization();
      utilisation = undefined;
      const at = (moment: number, run: () => void): NodeJS.Timeout =>
        setTimeout(run, Math.max(0, moment - performance.now()));
      timers = [
        at(fromAt, () => {
          before = performance.eventLoopUtilization();
        }),
        at(toAt, () => {
          utilisation = take();
        }),
      ];
    },
    end() {
      delay.disable();
      for (const timer of timers) clearTimeout(timer);
      // It counts the distance between two ticks.
      const lateMs = delay.count > 0 ? Math.max(0, delay.percentile(99) / 1e6 - DELAY_RESOLUTION_MS) : 0;
      const own = { eventLoopDelayP99Ms: lateMs, eventLoopUtilisation: utilisation ?? take() };
      worst.eventLoopDelayP99Ms = Math.max(worst.eventLoopDelayP99Ms, own.eventLoopDelayP99Ms);
      worst.eventLoopUtilisation = Math.max(worst.eventLoopUtilisation, own.eventLoopUtilisation);
      return own;
    },
    worst: () => worst,
  };
}

/** Without the warm-up that comes first. */
function measuredOf(phases: readonly Phase[], beginAt: number): [fromAt: number, toAt: number] {
  const sum = (some: readonly Phase[]): number => some.reduce((all, { durationS }) => all + durationS * 1_000, 0);
  const first = phases.findIndex(({ warmUp }) => !warmUp);
  return [beginAt + sum(phases.slice(0, Math.max(0, first))), beginAt + sum(phases)];
}
