/**
 * The load generator measured. Needs a quiet machine; prints Markdown.
 *
 *   npm run bench:lab                 requests per core, 10,000 users, node:net beside undici
 *   npm run bench:lab -- --honesty    beside wrk, h2load and Locust (Debian: wrk nghttp2-client python3-locust); a known stall
 *   npm run bench:lab -- --knee       servers of known capacity under `stress`
 *   npm run bench:lab -- --soak       clean servers, a leak of 1 KB a request, a slow-down, under `soak`; 25 minutes, or
 *                                     2 for each of those named: --soak leak,clean
 */
import { measureCapacity } from './lab/capacity.ts';
import { measureHonesty } from './lab/honesty.ts';
import { measureKnees } from './lab/knee.ts';
import { measureSoaks } from './lab/soak.ts';

const [part, kinds] = process.argv.slice(2);
if (part === '--honesty') await measureHonesty();
else if (part === '--knee') await measureKnees();
else if (part === '--soak') await measureSoaks(kinds?.split(','));
else await measureCapacity();
