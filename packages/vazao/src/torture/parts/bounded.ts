/** Bounded waits for what another process does. */
import { setTimeout as delay } from 'node:timers/promises';
import { PartError } from './errors.ts';

/** Looking again this often costs little beside a query or a start of a program. */
const PAUSE_MS = 10;

/** Asks until the answer is something else than undefined or false. Throws {@link PartError} after the bound. */
export async function untilTold<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs: number,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) {
      throw new PartError('ERR_PART_TIMEOUT', `Not within ${timeoutMs} ms: ${what}. Look at the server's log.`);
    }
    await delay(PAUSE_MS);
  }
}
