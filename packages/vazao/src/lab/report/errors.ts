export class LabResultsError extends Error {
  readonly code = 'ERR_LAB_RESULTS';
}
