/** Logs the users of the open model in, before the first arrival is due: who measures a shop does not measure its door. */
import { LabError } from '../errors.ts';
import type { Connections } from './connections.ts';
import type { Exchanger } from './exchange.ts';
import { describeScenarioFailure } from './exchange.ts';
import type { IndexedStep, VirtualUser } from './users.ts';

/** A log-in costs the server much by design (hashing): few at a time. */
const AT_A_TIME = 4;

/** Rejects with {@link LabError} when one is refused. */
export async function logIn(
  login: IndexedStep,
  users: readonly VirtualUser[],
  exchanger: Exchanger,
  connections: Connections,
): Promise<void> {
  const left = users.values();
  const lane = async (): Promise<void> => {
    for (const user of left) {
      if (!user.isLoggedIn) await logInOne(login, user, exchanger, connections);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_A_TIME, users.length) }, lane));
}

function logInOne(
  login: IndexedStep,
  user: VirtualUser,
  exchanger: Exchanger,
  connections: Connections,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const connection = connections.acquire();
    if (!connection) {
      reject(new LabError('ERR_LAB_OPTION', 'A thread of the generator needs at least 4 connections.'));
      return;
    }
    try {
      exchanger.start(login, user, 0, undefined, connection, (error, used) => {
        const head = error === 'status' || error === 'check' ? ` (status ${used.parser.head?.status})` : '';
        connections.release(used);
        user.isLoggedIn = error === undefined;
        if (user.isLoggedIn) resolve();
        else reject(new LabError('ERR_LAB_START', `User ${user.index} could not log in: ${error}${head}.`));
      });
    } catch (error) {
      reject(describeScenarioFailure(error, login.step.name));
    }
  });
}
