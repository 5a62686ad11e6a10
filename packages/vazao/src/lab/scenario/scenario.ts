/**
 * What users do, as a module's default export. The module is loaded once in each thread of the generator, so it may hold
 * functions and read files; what one user does must not depend on what another has done.
 */
import type { Random } from '../engine/random.ts';
import type { Criterion } from '../run-result.ts';

/** Types a scenario; returns it as it is. */
export function scenario(scenario: Scenario): Scenario {
  return scenario;
}

export interface Scenario {
  /** Shown in reports. */
  readonly name: string;
  /** Origin of the server. `--target` overrides it. @defaultValue none: `--target` is needed */
  readonly target?: string | undefined;
  /** Each arrival, or each turn of a user, takes one of them at random, by weight. At least one. */
  readonly steps: readonly Step[];
  /** What each user does once, before anything else. */
  readonly login?: Step | undefined;
  /**
   * How many different users take turns in the open model. In the closed model the plan says it.
   * @defaultValue 100 with `login`, otherwise 1 for each thread
   */
  readonly users?: number | undefined;
  /** Fields of every request. */
  readonly headers?: Headers | ((user: User) => Headers) | undefined;
  /** Mean time between an answer and the same user's next request, in the closed model. @defaultValue 5000 */
  readonly thinkMs?: number | undefined;
  /** @defaultValue 10000 */
  readonly timeoutMs?: number | undefined;
  /** How many redirects to the same server are followed; the answer is the last one. @defaultValue 0 */
  readonly redirectsMax?: number | undefined;
  /**
   * How load comes and goes under the plan `load`, if nobody says otherwise: `10s:0..100/s warm-up, 60s:100/s, 10s:1000/s`.
   * @defaultValue the plan's constant rate
   */
  readonly schedule?: string | undefined;
  /** What a run must show, if neither the plan nor the command line says. */
  readonly criteria?: readonly Criterion[] | undefined;
}

/** Runs SQL in the lab's own database of an application. */
export type LabQuery = (text: string, values?: readonly unknown[]) => Promise<{ readonly rows: readonly unknown[] }>;

/** Export `prepare` of an application's `lab.ts`: changes its data before they are measured, so that users may log in in production, say. */
export type PrepareLab = (query: LabQuery) => Promise<void>;

/** Export `resize` of an application's `lab.ts`, for `volume`: makes its data so many times as large as at factor 1. */
export type ResizeLab = (query: LabQuery, factor: number) => Promise<void>;

/**
 * Types a step by the answer that its request says it gets ({@link HttpRequest}, `routes`), for `expect` and `extract`; returns it as it
 * is. `request` stands before them.
 */
export function step<Body>(step: Step<Body>): Step {
  return step;
}

// biome-ignore lint/suspicious/noExplicitAny: a scenario without types says in `extract` and `expect` what it relies on.
export interface Step<Body = any> {
  readonly name: string;
  /** How often it is chosen, relative to the others. @defaultValue 1 */
  readonly weight?: number | undefined;
  /** The same each time, or made for the user whose turn it is. */
  readonly request: HttpRequest<Body> | ((turn: Turn) => HttpRequest<Body>);
  /** What the answer has to be. @defaultValue a status below 400 */
  readonly expect?: Expectation<Body> | undefined;
  /** Values that the user keeps for later steps, in `user.values`. A function that throws, or finds nothing, fails the check. */
  readonly extract?: Readonly<Record<string, (answer: Answer<Body>) => unknown>> | undefined;
  /** Not chosen for a user who lacks one of these values. @defaultValue none */
  readonly needs?: readonly string[] | undefined;
  /** What the same user does next, in order, without thinking, unless this step failed. */
  readonly followedBy?: readonly Step[] | undefined;
}

export type Headers = Readonly<Record<string, string>>;

/** `Body` is what the answer's JSON is. */
// biome-ignore lint/suspicious/noExplicitAny: as in a step.
export interface HttpRequest<Body = any> {
  /** @defaultValue GET, or POST with a body */
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS' | undefined;
  /** With its query. Begins with `/`. */
  readonly path: string;
  readonly headers?: Headers | undefined;
  /** Sent as JSON. At most one of `json`, `form` and `body`. */
  readonly json?: unknown;
  /** Sent as a form. */
  readonly form?: Readonly<Record<string, string>> | undefined;
  /** Sent as it is. */
  readonly body?: string | Uint8Array | undefined;
  /** Never there: it carries the type. */
  readonly answer?: Body | undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: as in a step.
export interface Expectation<Body = any> {
  /** What is accepted. @defaultValue below 400 */
  readonly status?: number | readonly number[] | undefined;
  /** Every one must hold. The body is read, and decompressed, only if there is one of these or an `extract`. */
  readonly body?: ((answer: Answer<Body>) => boolean) | string | RegExp | undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: as in a step.
export interface Answer<Body = any> {
  readonly status: number;
  /** By name in lower case. */
  readonly headers: ReadonlyMap<string, string | readonly string[]>;
  /** Decompressed. */
  text(): string;
  /** Throws if the body is no JSON. */
  json(): Body;
}

export interface User {
  /** From 0, different for each user of the run. */
  readonly index: number;
  /** What `extract` has kept. */
  // biome-ignore lint/suspicious/noExplicitAny: as what was extracted.
  readonly values: Record<string, any>;
}

/** One user's turn. */
export interface Turn {
  readonly user: User;
  /** The user's own stream of chance, from the seed of the run. */
  readonly random: Random;
}
