/** Results of the lab, for whoever reads them with a program. */
export type {
  CriterionVerdict,
  Figures,
  LatencySummary,
  PhaseFigures,
  RequestSample,
  RunResult,
  SecondFigures,
  ServerSample,
} from './run-result.ts';
export {
  bootstrapInterval,
  checkLittlesLaw,
  compareRuns,
  findDegradation,
  findKnee,
  findLeak,
  findTrend,
  fitUsl,
  predictUsl,
  UslError,
} from './statistics/index.ts';
