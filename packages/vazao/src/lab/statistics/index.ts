export { type BootstrapOptions, bootstrapInterval, type Interval } from './bootstrap.ts';
export { type CompareOptions, type Comparison, compareRuns, type Round } from './compare-runs.ts';
export {
  type DegradationOptions,
  findDegradation,
  findLeak,
  type Growth,
  type Leak,
  type LeakOptions,
  type MemorySample,
} from './growth.ts';
export { type ClosedModel, checkLittlesLaw, type LittlesLawCheck } from './littles-law.ts';
export { findTrend, type Point, type Trend } from './trend.ts';
export { fitUsl, predictUsl, UslError, type UslFit, type UslPoint, type UslPrediction } from './usl.ts';
