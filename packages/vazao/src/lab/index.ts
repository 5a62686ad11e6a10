/** What a scenario needs, and the lab's results for whoever reads them with a program. */
export type { Random } from './engine/random.ts';
export { LabError, type LabErrorCode } from './errors.ts';
export type {
  Criterion,
  CriterionVerdict,
  Figures,
  LatencySummary,
  PhaseFigures,
  RequestSample,
  RunResult,
  SecondFigures,
  ServerSample,
} from './run-result.ts';
export { csv, type Row, type Table, zipf } from './scenario/data.ts';
export { writeRouteTypes } from './scenario/openapi-types.ts';
export { type RouteTypes, routes } from './scenario/routes.ts';
export {
  type Answer,
  type Expectation,
  type HttpRequest,
  type Scenario,
  type Step as ScenarioStep,
  scenario,
  step,
  type Turn,
} from './scenario/scenario.ts';
export {
  type BootstrapOptions,
  bootstrapInterval,
  type ClosedModel,
  type CompareOptions,
  type Comparison,
  checkLittlesLaw,
  compareRuns,
  type DegradationOptions,
  findDegradation,
  findLeak,
  findTrend,
  fitUsl,
  type Growth,
  type Interval,
  type Leak,
  type LeakOptions,
  type LittlesLawCheck,
  type MemorySample,
  type Point,
  predictUsl,
  type Round,
  type Trend,
  UslError,
  type UslFit,
  type UslPoint,
  type UslPrediction,
} from './statistics/index.ts';
