/** What a cache holds and has done, for health checks and the console. */
export interface CacheFigures {
  readonly entries: number;
  readonly sizeBytes: number;
  readonly sizeMaxBytes: number;
  readonly fillsRunning: number;
  readonly stored: number;
  readonly notStored: number;
  readonly dropped: number;
  readonly evicted: number;
  readonly recentCommits: number;
}
