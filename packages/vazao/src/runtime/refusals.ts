/** What speaks against serving in production. All of it is told at once, each with what to do. */
import type pg from 'pg';
import type { Application } from './application.ts';
import type { Configuration } from './configuration.ts';
import { describeError, RuntimeError } from './errors.ts';

/** Passwords that guides, images and installers give to databases. */
const PASSWORDS_OF_GUIDES = [
  'postgres',
  'password',
  'admin',
  'admin123',
  'changeme',
  'secret',
  'example',
  'root',
  '123456',
];
const SECRETS_OF_GUIDES = /change.?(me|this)|your.?(own.?)?secret|replace.?(me|this)|example.?secret|super.?secret/i;

/** Before anything is opened. Throws {@link RuntimeError}; does nothing in development. */
export function assertNoDefaults(application: Application, configuration: Configuration): void {
  if (configuration.environment !== 'production') return;
  const reasons: string[] = [];
  if (SECRETS_OF_GUIDES.test(configuration.secret ?? '')) {
    reasons.push('VAZAO_SECRET is an example out of a guide. `openssl rand -base64 48` makes one that nobody knows.');
  }
  if (hasDefaultPassword(configuration.databaseUrl)) {
    reasons.push(
      'The password in DATABASE_URL is one that everybody tries first. Give the role another: `alter role … password …`.',
    );
  }
  assertNone(application, reasons);
}

/** When the database is migrated. Throws {@link RuntimeError}; does nothing in development. */
export async function assertApplicationAgrees(
  application: Application,
  configuration: Configuration,
  client: pg.ClientBase,
): Promise<void> {
  if (configuration.environment !== 'production' || !application.refuses) return;
  const reasons = await application.refuses(client).catch((cause) => {
    const message = `The application ${application.name} could not check whether it may serve: ${describeError(cause)}.`;
    throw new RuntimeError('ERR_RUNTIME_APPLICATION', message, { cause });
  });
  assertNone(application, reasons);
}

/** On this machine alone, whoever reaches the database has got further already. */
function hasDefaultPassword(url: string | undefined): boolean {
  if (url === undefined) return false;
  const { hostname, username, password } = new URL(url);
  const isNear = ['', 'localhost', '127.0.0.1', '[::1]'].includes(hostname);
  const given = decodeURIComponent(password).toLowerCase();
  return !isNear && given !== '' && (PASSWORDS_OF_GUIDES.includes(given) || given === username.toLowerCase());
}

function assertNone({ name }: Application, reasons: readonly string[]): void {
  if (reasons.length === 0) return;
  throw new RuntimeError('ERR_RUNTIME_REFUSED', `${name} does not start in production. ${reasons.join(' ')}`);
}
