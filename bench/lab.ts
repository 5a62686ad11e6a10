/**
 * The load generator measured. Needs a quiet machine; prints Markdown.
 *
 *   npm run bench:lab                 requests per core, 10,000 users, node:net beside undici; 2 minutes
 *   npm run bench:lab -- --honesty    beside wrk, h2load and Locust (Debian: wrk nghttp2-client python3-locust); a known stall;
 *                                     6 minutes
 *   npm run bench:lab -- --knee       servers of known capacity under `stress`; 5 minutes, or those of --knee 50,200
 *   npm run bench:lab -- --soak       a leak of 1 KB a request, a slow-down, and twenty clean servers under `soak`; 25 minutes,
 *                                     or a minute for each of those named: --soak leak,clean
 *
 * Exits with 1 when a goal is missed.
 */
import { measureCapacity } from './lab/capacity.ts';
import { measureHonesty } from './lab/honesty.ts';
import { measureKnees } from './lab/knee.ts';
import { measureSoaks } from './lab/soak.ts';

const [part, kinds] = process.argv.slice(2);
const isMet = await measure();
if (!isMet) process.exitCode = 1;

function measure(): Promise<boolean> {
  if (part === '--honesty') return measureHonesty();
  if (part === '--knee') return measureKnees(kinds?.split(','));
  if (part === '--soak') return measureSoaks(kinds?.split(','));
  return measureCapacity();
}
