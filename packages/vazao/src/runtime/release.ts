/** A release that hangs, such as a connection to a database that is gone, must not keep the next from running. */
export const RELEASE_TIMEOUT_MS = 500;

/** Waits for the step, but no longer; a failure of it is no reason to stop releasing. */
export async function within(timeoutMs: number, step: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  step.then(
    () => resolve(),
    () => resolve(),
  );
  await promise;
  clearTimeout(timer);
}
