/**
 * The Universal Scalability Law (Gunther, *Guerrilla Capacity Planning*, 2007; three parameters as in Gunther, Puglia and Tomasette,
 * *Hadoop Superlinear Scalability*, 2015):
 *
 *   X(N) = λN / (1 + σ(N−1) + κN(N−1))
 *
 * λ is the throughput of one, σ the share that waits for a turn (contention), κ the price of agreeing (coherency). Fitted by least squares
 * over throughput (Levenberg and Marquardt) with σ, κ ≥ 0; a parameter that would be negative is held at 0.
 */
import type { Interval } from './bootstrap.ts';
import { studentQuantile } from './distributions.ts';
import { invert, solve } from './linear-algebra.ts';

export interface UslPoint {
  /** Workers, or users, or requests in flight: whatever was stepped up. At least 1. */
  readonly n: number;
  readonly throughputPerS: number;
}

/** A number with its standard error; 0 where the parameter is held at its bound. */
export interface Estimate {
  readonly value: number;
  readonly standardError: number;
}

export interface UslFit {
  readonly lambda: Estimate;
  readonly sigma: Estimate;
  readonly kappa: Estimate;
  /** Of the parameters in that order; rows and columns of a held one are 0. */
  readonly covariance: readonly (readonly number[])[];
  readonly residualStandardError: number;
  readonly degreesOfFreedom: number;
  /** N of the highest throughput, √((1−σ)/κ); undefined where κ is 0, so that there is none. */
  readonly peakN: number | undefined;
  /** What the points cover. */
  readonly measured: { readonly nMin: number; readonly nMax: number };
}

export class UslError extends Error {
  readonly code = 'ERR_LAB_USL';
}

export interface UslPrediction {
  readonly throughputPerS: number;
  /** Of a new measurement, 95 %. */
  readonly interval: Interval;
  /** Why this is not to be trusted; undefined if it is. */
  readonly refusal: string | undefined;
}

/** Beyond twice the greatest N that was measured, nothing is said: κ, which decides there, was hardly seen. */
const EXTRAPOLATION_MAX = 2;
/** Nor where the interval is wider than this share of the value to either side. */
const UNCERTAINTY_MAX = 0.25;
const DISTINCT_MIN = 4;
const STEPS_MAX = 200;

type Parameters = [lambda: number, sigma: number, kappa: number];

/** Throws {@link UslError} with fewer than four distinct N: three parameters fit three points exactly, whatever they are. */
export function fitUsl(points: readonly UslPoint[]): UslFit {
  const usable = points.filter(
    ({ n, throughputPerS }) => n >= 1 && throughputPerS > 0 && Number.isFinite(throughputPerS),
  );
  const distinct = new Set(usable.map(({ n }) => n)).size;
  if (distinct < DISTINCT_MIN) {
    throw new UslError(
      `The Universal Scalability Law needs throughput at ${DISTINCT_MIN} or more different numbers of users (or workers); there are ${distinct}. Measure more steps.`,
    );
  }
  const fits = [
    [true, true, true],
    [true, true, false],
    [true, false, true],
    [true, false, false],
  ].flatMap((free) => minimise(usable, free) ?? []);
  const best = fits.reduce((least, fit) => (fit.squares < least.squares ? fit : least));
  return describe(usable, best);
}

/** Throughput at `n`, with what is known of it, or why nothing is. */
export function predictUsl(fit: UslFit, n: number): UslPrediction {
  const parameters: Parameters = [fit.lambda.value, fit.sigma.value, fit.kappa.value];
  const throughputPerS = throughputAt(parameters, n);
  const gradient = gradientAt(parameters, n);
  let variance = fit.residualStandardError ** 2;
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 3; j++)
      variance += (gradient[i] as number) * (fit.covariance[i]?.[j] as number) * (gradient[j] as number);
  const width = studentQuantile(0.975, fit.degreesOfFreedom) * Math.sqrt(variance);
  const interval = { low: throughputPerS - width, high: throughputPerS + width };
  return { throughputPerS, interval, refusal: refuse(fit, n, width / throughputPerS) };
}

function refuse({ measured }: UslFit, n: number, uncertainty: number): string | undefined {
  if (n > EXTRAPOLATION_MAX * measured.nMax) {
    return `${round(n)} is more than ${EXTRAPOLATION_MAX} times the ${round(measured.nMax)} that were measured: measure up to ${round(n / EXTRAPOLATION_MAX)}`;
  }
  if (uncertainty > UNCERTAINTY_MAX) {
    return `at ${round(n)} the prediction is uncertain by ±${(uncertainty * 100).toFixed(0)} %: measure more steps, or longer ones`;
  }
  return undefined;
}

interface Minimum {
  readonly parameters: Parameters;
  readonly free: readonly boolean[];
  readonly squares: number;
}

/** Undefined if what comes out breaks a bound. */
function minimise(points: readonly UslPoint[], free: readonly boolean[]): Minimum | undefined {
  let parameters = startingPoint(points, free);
  let squares = squaresOf(points, parameters);
  let damping = 1e-3;
  for (let step = 0; step < STEPS_MAX && damping < 1e12; step++) {
    const { normal, gradient } = normalEquations(points, parameters, free);
    const damped = normal.map((row, i) => row.map((value, j) => (i === j ? value * (1 + damping) : value)));
    const change = solve(damped, gradient);
    if (!change) return undefined;
    let next = 0;
    const candidate = parameters.map((value, i) => value + (free[i] ? (change[next++] as number) : 0)) as Parameters;
    const after = squaresOf(points, candidate);
    if (!(after <= squares)) {
      damping *= 10;
      continue;
    }
    const gained = squares - after;
    [parameters, squares, damping] = [candidate, after, damping / 10];
    if (gained <= 1e-14 * squares) break;
  }
  const [lambda, sigma, kappa] = parameters;
  return lambda > 0 && sigma >= 0 && kappa >= 0 ? { parameters, free, squares } : undefined;
}

/** N/X = (1 + σ(N−1) + κN(N−1)) / λ is linear in 1/λ, σ/λ and κ/λ. */
function startingPoint(points: readonly UslPoint[], free: readonly boolean[]): Parameters {
  const rows = points.map(({ n }) => [1, n - 1, n * (n - 1)].filter((_, i) => free[i]));
  const width = rows[0]?.length as number;
  const square = Array.from({ length: width }, (_, i) =>
    Array.from({ length: width }, (_, j) =>
      rows.reduce((sum, row) => sum + (row[i] as number) * (row[j] as number), 0),
    ),
  );
  const right = Array.from({ length: width }, (_, i) =>
    rows.reduce(
      (sum, row, at) =>
        sum + (row[i] as number) * ((points[at] as UslPoint).n / (points[at] as UslPoint).throughputPerS),
      0,
    ),
  );
  const found = solve(square, right);
  let next = 0;
  const [base = 0, contention = 0, coherency = 0] = free.map((is) => (is ? (found?.[next++] ?? 0) : 0));
  const first = points[0] as UslPoint;
  if (!(base > 0))
    return [first.throughputPerS / first.n, 0.01, 1e-5].map((value, i) => (free[i] ? value : 0)) as Parameters;
  return [1 / base, contention / base, coherency / base];
}

function normalEquations(
  points: readonly UslPoint[],
  parameters: Parameters,
  free: readonly boolean[],
): { normal: number[][]; gradient: number[] } {
  const width = free.filter(Boolean).length;
  const normal = Array.from({ length: width }, () => new Array<number>(width).fill(0));
  const gradient = new Array<number>(width).fill(0);
  for (const { n, throughputPerS } of points) {
    const row = gradientAt(parameters, n).filter((_, i) => free[i]);
    const residual = throughputPerS - throughputAt(parameters, n);
    for (let i = 0; i < width; i++) {
      gradient[i] = (gradient[i] as number) + (row[i] as number) * residual;
      for (let j = 0; j < width; j++) {
        (normal[i] as number[])[j] = (normal[i]?.[j] as number) + (row[i] as number) * (row[j] as number);
      }
    }
  }
  return { normal, gradient };
}

function describe(points: readonly UslPoint[], { parameters, free, squares }: Minimum): UslFit {
  const freedom = Math.max(points.length - free.filter(Boolean).length, 1);
  const inverse = invert(normalEquations(points, parameters, free).normal);
  const places = free.flatMap((is, index) => (is ? [index] : []));
  const covariance = parameters.map((_, i) =>
    parameters.map((_, j) => {
      const [row, column] = [places.indexOf(i), places.indexOf(j)];
      return row < 0 || column < 0 ? 0 : ((inverse?.[row]?.[column] ?? Number.NaN) * squares) / freedom;
    }),
  );
  const [lambda, sigma, kappa] = parameters.map((value, i) => ({
    value,
    standardError: Math.sqrt(covariance[i]?.[i] ?? 0),
  })) as [Estimate, Estimate, Estimate];
  return {
    lambda,
    sigma,
    kappa,
    covariance,
    residualStandardError: Math.sqrt(squares / freedom),
    degreesOfFreedom: freedom,
    peakN: kappa.value > 0 && sigma.value < 1 ? Math.sqrt((1 - sigma.value) / kappa.value) : undefined,
    measured: { nMin: Math.min(...points.map(({ n }) => n)), nMax: Math.max(...points.map(({ n }) => n)) },
  };
}

function throughputAt([lambda, sigma, kappa]: Parameters, n: number): number {
  return (lambda * n) / (1 + sigma * (n - 1) + kappa * n * (n - 1));
}

function gradientAt(parameters: Parameters, n: number): [number, number, number] {
  const [lambda, sigma, kappa] = parameters;
  const below = 1 + sigma * (n - 1) + kappa * n * (n - 1);
  const slope = (-lambda * n) / below ** 2;
  return [n / below, slope * (n - 1), slope * n * (n - 1)];
}

function squaresOf(points: readonly UslPoint[], parameters: Parameters): number {
  return points.reduce((sum, { n, throughputPerS }) => sum + (throughputPerS - throughputAt(parameters, n)) ** 2, 0);
}

function round(n: number): string {
  return String(Math.round(n * 10) / 10);
}
