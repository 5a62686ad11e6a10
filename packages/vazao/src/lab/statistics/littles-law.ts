/** Little's law in a closed model: N = X · (R + Z). */
export interface ClosedModel {
  /** N: users. */
  readonly users: number;
  /** X: completed requests a second. */
  readonly throughputPerS: number;
  /** R: mean latency, with that of what failed and timed out. */
  readonly latencyS: number;
  /** Z: mean time between an answer and the user's next request. */
  readonly thinkS: number;
}

export interface LittlesLawCheck {
  /** X · (R + Z). */
  readonly usersFound: number;
  /** (found − given) ÷ given. */
  readonly deviation: number;
  readonly holds: boolean;
}

/** What ramps, and requests that are cut off at the ends of a run, may account for. */
export const DEVIATION_MAX = 0.05;

/**
 * Checks that a run of users with think time is what it says: each user is either thinking or waiting, so N = X(R + Z) (Little 1961;
 * Denning and Buzen 1978 as the interactive response time law). A deviation means users that were not there, requests
 * that were not counted, or a generator that thought longer than it was told.
 */
export function checkLittlesLaw({ users, throughputPerS, latencyS, thinkS }: ClosedModel): LittlesLawCheck {
  const usersFound = throughputPerS * (latencyS + thinkS);
  const deviation = (usersFound - users) / users;
  return { usersFound, deviation, holds: Math.abs(deviation) <= DEVIATION_MAX };
}
