/**
 * `npm run bench:patience`: what the longest wait for a place (`waitMaxMs`) means to clients that ask again as soon as they have an answer,
 * be it a refusal: `wrk` on a route that computes, pool of 10, server and PostgreSQL on one core, the generator on the other. Prints
 * Markdown: the median of the rounds. 3 minutes. Needs Debian's `wrk`.
 *
 *   --rounds 3 --seconds 4
 */
import { execFile } from 'node:child_process';
import { parseArgs, promisify } from 'node:util';
import { median } from './load.ts';
import { openStage, PORT } from './overload/stage.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, seconds: { type: 'string', default: '4' } },
});
const WAITS_MS = [30, 100, 250];
const CLIENTS = [32, 100, 300];

interface Driven {
  /** A second. */
  readonly served: number;
  readonly refusedShare: number;
}

await using stage = await openStage();
const driven = new Map<string, Driven[]>();
for (let round = 0; round < Number(values.rounds); round++) {
  for (const waitMs of WAITS_MS) {
    await stage.serve({ WAIT_MAX_MS: String(waitMs) }, async () => {
      await drive(32); // code gets compiled
      for (const clients of CLIENTS) {
        const key = `${waitMs} ${clients}`;
        driven.set(key, [...(driven.get(key) ?? []), await drive(clients)]);
      }
    });
  }
}
console.log(`| \`waitMaxMs\` | ${CLIENTS.map((count) => `${count} clients: served a second, refused`).join(' | ')} |`);
console.log(`|---|${CLIENTS.map(() => '---|').join('')}`);
for (const waitMs of WAITS_MS) {
  const cells = CLIENTS.map((clients) => {
    const rounds = driven.get(`${waitMs} ${clients}`) ?? [];
    const served = median(rounds.map((one) => one.served));
    const refused = median(rounds.map(({ refusedShare }) => refusedShare));
    return `${served.toFixed(0)}, ${(refused * 100).toFixed(0)} %`;
  });
  console.log(`| ${waitMs} | ${cells.join(' | ')} |`);
}

async function drive(clients: number): Promise<Driven> {
  const url = `http://127.0.0.1:${PORT}/resumo/7`;
  const words = ['-t1', `-c${clients}`, `-d${values.seconds}s`, url];
  const { stdout } = await promisify(execFile)('wrk', words);
  if (/Socket errors/.test(stdout)) throw new Error(stdout);
  const answered = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  const refused = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0);
  return { served: (answered - refused) / Number(values.seconds), refusedShare: refused / answered };
}
