/**
 * Configuration comes from the environment alone and is checked before anything starts. {@link VARIABLES} is the whole
 * of it; `docs/configuration.md` is compared with it by a test.
 */
import { resolve } from 'node:path';
import { RuntimeError } from './errors.ts';
import { didYouMean } from './nearest.ts';

export type Environment = 'development' | 'production';
export type LogLevel = (typeof LOG_LEVELS)[number];

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const SECRET_LENGTH_MIN = 32;

export interface Configuration {
  readonly environment: Environment;
  readonly host: string;
  readonly port: number;
  /** Undefined: an embedded PostgreSQL. */
  readonly databaseUrl: string | undefined;
  readonly databasePoolMax: number;
  /** Absolute. */
  readonly dataFolder: string;
  /** Undefined in development: one is made and kept in the data folder. */
  readonly secret: string | undefined;
  readonly cacheSizeMaxBytes: number;
  readonly logLevel: LogLevel;
  readonly debug: boolean;
}

interface Variable<T> {
  readonly name: string;
  /** What is used when the variable is absent or empty, as it would be written. */
  readonly default: string | undefined;
  /** What may be written, for people. */
  readonly allowed: string;
  readonly meaning: string;
  /** The value; undefined when it is not allowed. */
  readonly parse: (text: string) => T | undefined;
  /** True: never repeated in a message. */
  readonly isSecret?: boolean;
}

const HOST: Variable<string> = {
  name: 'HOST',
  default: '127.0.0.1',
  allowed: 'a host name or an address; `0.0.0.0` or `::` for all addresses',
  meaning: 'Where the server listens.',
  parse: (text) => (/^[\w.:-]+$/.test(text) ? text : undefined),
};
const PORT: Variable<number> = {
  name: 'PORT',
  default: '8080',
  allowed: 'a whole number from 0 to 65535; 0 takes any free port',
  meaning: 'The port the server listens on.',
  parse: (text) => parseWhole(text, 0, 65_535),
};
const DATABASE_URL: Variable<string> = {
  name: 'DATABASE_URL',
  default: undefined,
  allowed: '`postgresql://user:password@host:port/database`',
  meaning: 'The PostgreSQL to use. Absent: an embedded one is started in the data folder.',
  parse: (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url && /^postgres(ql)?:$/.test(url.protocol) && url.pathname.length > 1 ? text : undefined;
  },
  isSecret: true,
};
const DATABASE_POOL: Variable<number> = {
  name: 'DATABASE_POOL',
  default: '10',
  allowed: 'a whole number from 2 to 1000',
  meaning: 'The most connections the server opens for queries. The feed needs three more.',
  parse: (text) => parseWhole(text, 2, 1_000),
};
const DATA: Variable<string> = {
  name: 'VAZAO_DATA',
  default: '.vazao',
  allowed: 'a folder',
  meaning: 'Where data live: one folder for each application, and the secret of development.',
  parse: (text) => text,
};
const SECRET: Variable<string> = {
  name: 'VAZAO_SECRET',
  default: undefined,
  allowed: `at least ${SECRET_LENGTH_MIN} characters, the same on every server; \`openssl rand -base64 48\` makes one`,
  meaning: 'Signs tokens and cookies. Required in production; development makes its own and keeps it.',
  parse: (text) => (text.length >= SECRET_LENGTH_MIN ? text : undefined),
  isSecret: true,
};
const CACHE_SIZE: Variable<number> = {
  name: 'CACHE_SIZE',
  default: '256 MB',
  allowed: 'a size from 1 MB, with `B`, `KB`, `MB` or `GB` (of 1024)',
  meaning: 'The memory that cached answers may take.',
  parse: (text) => {
    const bytes = parseSize(text);
    return bytes !== undefined && bytes >= 1024 ** 2 ? bytes : undefined;
  },
};
const LOG_LEVEL: Variable<LogLevel> = {
  name: 'LOG_LEVEL',
  default: '`info` in production, `warn` in development',
  allowed: LOG_LEVELS.map((level) => `\`${level}\``).join(', '),
  meaning: 'From which weight on log lines are written.',
  parse: (text) => LOG_LEVELS.find((level) => level === text),
};
const NODE_ENV: Variable<string> = {
  name: 'NODE_ENV',
  default: '`development` for `vazao dev`, `production` for `vazao start`',
  allowed: '`development` or `test` for `vazao dev`, `production` for `vazao start`',
  meaning: 'The command decides; a value that contradicts it is refused.',
  parse: (text) => text,
};
const DEBUG: Variable<boolean> = {
  name: 'VAZAO_DEBUG',
  default: '0',
  allowed: '`0` or `1`',
  meaning: 'Adds the stack and the causes to the sentence of a failure.',
  parse: (text) => ({ '0': false, false: false, '1': true, true: true })[text],
};
const TEST_SERVER: Variable<string> = {
  name: 'VAZAO_TEST_SERVER',
  default: undefined,
  allowed: 'a connection string',
  meaning: "For the platform's own tests: the PostgreSQL that a whole test run shares.",
  parse: (text) => text,
  isSecret: true,
};

/** All variables, in the order in which they are documented. */
export const VARIABLES: readonly Omit<Variable<unknown>, 'parse'>[] = [
  HOST,
  PORT,
  DATABASE_URL,
  DATABASE_POOL,
  CACHE_SIZE,
  LOG_LEVEL,
  NODE_ENV,
  DATA,
  SECRET,
  DEBUG,
  TEST_SERVER,
];

/** Reads the environment. `root` is the folder that relative folders start from. Throws {@link RuntimeError}. */
export function readConfiguration(
  environment: Environment,
  variables: Readonly<Record<string, string | undefined>>,
  root: string,
): Configuration {
  assertNamesKnown(variables);
  const read = <T>(variable: Variable<T>): T | undefined => readVariable(variable, variables);
  assertEnvironmentAgrees(environment, read(NODE_ENV));
  const secret = read(SECRET);
  if (environment === 'production' && secret === undefined) {
    throw invalid(
      `VAZAO_SECRET is not set, and production needs it (${SECRET.allowed}). For a trial on your own machine use \`vazao dev\`.`,
    );
  }
  return {
    environment,
    host: read(HOST) ?? '127.0.0.1',
    port: read(PORT) ?? 8080,
    databaseUrl: read(DATABASE_URL),
    databasePoolMax: read(DATABASE_POOL) ?? 10,
    dataFolder: resolve(root, read(DATA) ?? '.vazao'),
    secret,
    cacheSizeMaxBytes: read(CACHE_SIZE) ?? 256 * 1024 ** 2,
    logLevel: read(LOG_LEVEL) ?? (environment === 'production' ? 'info' : 'warn'),
    debug: read(DEBUG) ?? false,
  };
}

function readVariable<T>(
  variable: Variable<T>,
  variables: Readonly<Record<string, string | undefined>>,
): T | undefined {
  const text = variables[variable.name]?.trim();
  if (text === undefined || text === '') return undefined; // Compose and CI pass empty strings for "not set"
  const value = variable.parse(text);
  if (value !== undefined) return value;
  const shown = variable.isSecret ? 'has a value that is not allowed' : `is ${JSON.stringify(text)}`;
  throw invalid(`${variable.name} ${shown}; allowed is ${variable.allowed}.`);
}

function assertNamesKnown(variables: Readonly<Record<string, string | undefined>>): void {
  const known = VARIABLES.map(({ name }) => name);
  const ours = known.filter((name) => name.startsWith('VAZAO_'));
  for (const name of Object.keys(variables)) {
    if (!name.startsWith('VAZAO_') || ours.includes(name)) continue;
    throw invalid(`${name} is set, but there is no such variable${didYouMean(name, ours)}`);
  }
}

function assertEnvironmentAgrees(environment: Environment, nodeEnvironment: string | undefined): void {
  const agreeing = environment === 'production' ? ['production'] : ['development', 'test'];
  if (nodeEnvironment === undefined || agreeing.includes(nodeEnvironment)) return;
  const command = environment === 'production' ? '`vazao start` is for production' : '`vazao dev` is for development';
  const other = environment === 'production' ? '`vazao dev`' : '`vazao start`';
  throw invalid(`NODE_ENV is "${nodeEnvironment}", but ${command}; use ${other}, or unset NODE_ENV.`);
}

function invalid(message: string): RuntimeError {
  return new RuntimeError('ERR_RUNTIME_CONFIGURATION', message);
}

function parseWhole(text: string, min: number, max: number): number | undefined {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}

/** Bytes of `512 MB`, `1.5GB`, `1048576`. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(B|KB|MB|GB)?$/i.exec(text);
  const power = ['B', 'KB', 'MB', 'GB'].indexOf((match?.[2] ?? 'B').toUpperCase());
  return match ? Math.round(Number(match[1]) * 1024 ** power) : undefined;
}
