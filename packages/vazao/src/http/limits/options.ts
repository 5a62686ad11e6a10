/** The options of the limits, and what is used where they say nothing. */
import { availableParallelism } from 'node:os';
import type { FastifyRequest } from 'fastify';
import { HttpError } from '../errors.ts';
import type { AdmissionOptions, ClassRoom } from './admission.ts';
import { type Rate, resolveRate } from './rate.ts';
import type { RatePolicy, RateStore } from './rate-store.ts';
import { plainPage, type RefusalPage, reliablePage } from './refusal.ts';
import { REQUEST_CLASSES, type RequestClass } from './request-class.ts';
import type { ConnectionBounds } from './server-bounds.ts';

export interface LimitsOptions {
  /**
   * Addresses and networks (`10.0.0.0/8`, `::1`) of the proxies in front, from which `Forwarded` and `X-Forwarded-For` are
   * believed. @defaultValue none: a request comes from the address of its connection
   */
  readonly trustProxy?: readonly string[] | undefined;
  /** IPv6 addresses with so many first bits in common count as one client. @defaultValue 64 */
  readonly ipv6PrefixBits?: number | undefined;
  /** How many requests are worked on at the same time. `false`: as many as come. */
  readonly admission?: AdmissionLimits | false | undefined;
  /** How many requests a client may make. */
  readonly rates?: RateLimits | undefined;
  /** Where processes count together. It must never hold a request up: see `InsuredStore`. @defaultValue the memory of this process */
  readonly store?: RateStore | undefined;
  /** Tells who asks where the vazao plugin is not registered, which knows by its `identify`. @defaultValue nobody is known */
  readonly userOf?: ((request: FastifyRequest) => string | undefined) | undefined;
  /** Renders a refusal for browsers. Where it throws, the plain page is sent. @defaultValue a plain page in English */
  readonly page?: RefusalPage | undefined;
  /** Longest URL; then 414. @defaultValue 8 KiB */
  readonly urlMaxBytes?: number | undefined;
  /** Most fields of a request; then 431. @defaultValue 100 */
  readonly headersMax?: number | undefined;
  /** Most open connections of the process; further ones are closed at once. @defaultValue 20,000 */
  readonly connectionsMax?: number | undefined;
  /** How long an answer may wait for a client that reads nothing of it. @defaultValue 30 s */
  readonly readStallMs?: number | undefined;
  /** Beyond that, a client must read its answer at this pace. @defaultValue 4 KiB */
  readonly readMinBytesPerSecond?: number | undefined;
  /** Bodies that may arrive slowly at a time, without a place; the next one is cut off with 408. @defaultValue 32 */
  readonly slowBodiesMax?: number | undefined;
  /** Numbers from 0 to 1, for jitter. @defaultValue `Math.random` */
  readonly random?: (() => number) | undefined;
}

export interface AdmissionLimits {
  /**
   * Places of all classes but `health` together. A good number is one and a half times the connections of the pool: enough
   * that none is idle while another request is parsed or serialised. @defaultValue 15
   */
  readonly inFlightMax?: number | undefined;
  /** Of single classes, instead of what follows from `inFlightMax`. */
  readonly classes?: Partial<Readonly<Record<RequestClass, Partial<ClassRoom>>>> | undefined;
  /** Longest wait of a burst, and so the latest refusal: patience or a quick no, see docs/limits.md. @defaultValue 30 ms */
  readonly waitMaxMs?: number | undefined;
  /** Longest wait under overload, unless the work itself is slower. @defaultValue a third of `waitMaxMs`: 10 ms */
  readonly waitTargetMs?: number | undefined;
  /** Waiting requests of one class. @defaultValue 200 */
  readonly queueLengthMax?: number | undefined;
}

export interface RateLimits {
  /** Of a user that is known, over all routes; hits are not counted. @defaultValue none */
  readonly user?: Rate | false | undefined;
  /** Of all who are not known and come from one address; hits are not counted. @defaultValue none */
  readonly anonymous?: Rate | false | undefined;
  /** Of one address, whoever comes from there: the outer fence. Hits count. @defaultValue none */
  readonly address?: Rate | false | undefined;
  /** Of one address, to routes of the class `login`. @defaultValue 30 in a minute */
  readonly login?: Rate | false | undefined;
}

export interface ResolvedLimitsOptions {
  readonly trustProxy: readonly string[];
  readonly ipv6PrefixBits: number;
  readonly admission: AdmissionOptions | undefined;
  readonly rates: Readonly<Record<keyof RateLimits, RatePolicy | undefined>>;
  readonly store: RateStore | undefined;
  readonly userOf: (request: FastifyRequest) => string | undefined;
  readonly page: RefusalPage;
  readonly urlMaxBytes: number;
  readonly connections: ConnectionBounds;
  readonly slowBodiesMax: number;
  readonly random: () => number;
}

const LOGIN_RATE: Rate = { requests: 30, window: '1m' };
/** Kept beside the others, and for nobody else: whoever asks for health must be answered, and asks the database once. */
const HEALTH_ROOM: ClassRoom = { reserved: 8, max: 8, weight: 1 };

/** Throws {@link HttpError}. */
export function resolveLimitsOptions(options: LimitsOptions = {}): ResolvedLimitsOptions {
  const { rates = {}, admission = {} } = options;
  const policy = (name: keyof RateLimits, fallback: Rate | false = false): RatePolicy | undefined => {
    const rate = rates[name] ?? fallback;
    return rate === false ? undefined : { name, ...resolveRate(rate, `rates.${name}`) };
  };
  return {
    trustProxy: options.trustProxy ?? [],
    ipv6PrefixBits: options.ipv6PrefixBits ?? 64,
    admission: admission === false ? undefined : resolveAdmission(admission),
    rates: {
      user: policy('user'),
      anonymous: policy('anonymous'),
      address: policy('address'),
      login: policy('login', LOGIN_RATE),
    },
    store: options.store,
    userOf: options.userOf ?? (() => undefined),
    page: options.page ? reliablePage(options.page) : plainPage,
    urlMaxBytes: options.urlMaxBytes ?? 8 * 1024,
    connections: {
      connectionsMax: options.connectionsMax ?? 20_000,
      headersMax: options.headersMax ?? 100,
      readStallMs: options.readStallMs ?? 30_000,
      readMinBytesPerSecond: options.readMinBytesPerSecond ?? 4 * 1024,
    },
    slowBodiesMax: options.slowBodiesMax ?? 32,
    random: options.random ?? Math.random,
  };
}

function resolveAdmission({
  inFlightMax = 15,
  classes = {},
  waitMaxMs = 30,
  ...rest
}: AdmissionLimits): AdmissionOptions {
  if (!Number.isInteger(inFlightMax) || inFlightMax < 4)
    throw new HttpError(
      'ERR_HTTP_LIMITS_OPTIONS',
      `admission.inFlightMax is ${inFlightMax}; write a whole number from 4: each class has a place of its own.`,
    );
  const rooms = defaultRooms(inFlightMax);
  for (const name of REQUEST_CLASSES) rooms[name] = { ...rooms[name], ...defined(classes[name]) };
  const reserved = REQUEST_CLASSES.reduce((sum, name) => sum + (name === 'health' ? 0 : rooms[name].reserved), 0);
  if (reserved > inFlightMax)
    throw new HttpError(
      'ERR_HTTP_LIMITS_OPTIONS',
      `admission.classes reserves ${reserved} places, and inFlightMax is ${inFlightMax}; reserve fewer.`,
    );
  return {
    inFlightMax,
    rooms,
    waitMaxMs,
    waitTargetMs: rest.waitTargetMs ?? waitMaxMs / 3,
    queueLengthMax: rest.queueLengthMax ?? 200,
  };
}

/** A fifth for writes; a place each for whoever logs in and for the administrator, who may be there to end the trouble. */
function defaultRooms(inFlightMax: number): Record<RequestClass, ClassRoom> {
  return {
    health: HEALTH_ROOM,
    admin: { reserved: 1, max: inFlightMax, weight: 2 },
    // A log-in hashes a password, which takes a core for itself for a long time.
    login: { reserved: 1, max: Math.max(2, Math.min(availableParallelism(), Math.ceil(inFlightMax / 4))), weight: 1 },
    write: { reserved: Math.max(1, Math.floor(inFlightMax / 5)), max: inFlightMax, weight: 2 },
    read: { reserved: 1, max: inFlightMax, weight: 4 },
  };
}

function defined<T extends object>(values: T | undefined): Partial<T> {
  return Object.fromEntries(Object.entries(values ?? {}).filter(([, value]) => value !== undefined)) as Partial<T>;
}
