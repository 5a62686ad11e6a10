/** The process of a worker. Forked by the supervisor. */
import { runWorker } from '../worker.ts';

// Whatever the application has left running ends here, too.
process.exit(await runWorker(process.argv[2]));
