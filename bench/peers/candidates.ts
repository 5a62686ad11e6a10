/** How each candidate is started, and how it is named in the table. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Candidate {
  readonly name: string;
  /** Commands, the first one last in the chain: it gets the port that is asked. */
  readonly start: (parts: Parts) => readonly Command[];
  readonly needs?: 'nginx' | 'redis-server';
}

export interface Parts {
  readonly port: number;
  /** For a server behind the one that is asked. */
  readonly innerPort: number;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly folder: string;
}

export interface Command {
  readonly file: string;
  readonly words: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

const here = import.meta.dirname;
const node = process.execPath;

const inServer = (kind: string, needs?: Candidate['needs']): Candidate => ({
  name: kind,
  ...(needs && { needs }),
  start: ({ port, databaseUrl, redisUrl }) => [
    { file: node, words: [join(here, 'server.ts'), kind, String(port), databaseUrl, redisUrl] },
  ],
});

const watt = (name: string, tags: string): Candidate => ({
  name,
  start: ({ port, databaseUrl }) => [
    {
      file: node,
      words: [join(here, 'node_modules/wattpm/bin/cli.js'), 'start', join(here, 'watt')],
      environment: { PORT: String(port), DATABASE_URL: databaseUrl, WATT_TAGS: tags, PLT_SERVER_LOGGER_LEVEL: 'error' },
    },
  ],
});

const vazao = (name: string, needs?: Candidate['needs']): Candidate => ({
  name,
  ...(needs && { needs }),
  start: ({ port, databaseUrl, redisUrl, folder }) => [
    {
      file: node,
      words: [join(here, '../../packages/vazao/src/cli/main.ts'), 'start', join(here, 'app.ts')],
      environment: {
        PORT: String(port),
        DATABASE_URL: databaseUrl,
        WORKERS: '0',
        LOG_LEVEL: 'warn',
        VAZAO_DATA: folder,
        VAZAO_SECRET: 'of a benchmark that runs on this machine',
        ...(needs && { REDIS_URL: redisUrl }),
      },
    },
  ],
});

export const CANDIDATES: readonly Candidate[] = [
  inServer('uncached'),
  inServer('bentocache L1, ttl'),
  inServer('bentocache L1, delete on write'),
  inServer('bentocache L1+Redis, delete on write', 'redis-server'),
  inServer('nest cache-manager, ttl'),
  inServer('nest cache-manager, delete on write'),
  inServer('async-cache-dedupe, ttl'),
  inServer('async-cache-dedupe, references'),
  watt('Watt httpCache, ttl', '0'),
  watt('Watt httpCache, tags', '1'),
  {
    name: 'Nginx proxy_cache, ttl',
    needs: 'nginx',
    start: (parts) => [
      { file: 'nginx', words: ['-p', parts.folder, '-c', writeNginx(parts)] },
      ...inServer('uncached').start({ ...parts, port: parts.innerPort }),
    ],
  },
  vazao('vazao'),
  vazao('vazao + Redis', 'redis-server'),
];

export function isInstalled(program: string): boolean {
  return spawnSync(program, ['-v'], { stdio: 'ignore' }).error === undefined;
}

/** https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache: a zone of keys, a time by status, and a lock against many fills at once. */
function writeNginx({ folder, port, innerPort }: Parts): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  writeFileSync(
    file,
    `${process.getuid?.() === 0 ? 'user root; ' : ''}worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log;
events { worker_connections 1024; }
http {
  ${temporary.join(' ')}
  access_log off; keepalive_requests 1000000;
  proxy_cache_path ${folder}/cache keys_zone=items:10m;
  upstream application { server 127.0.0.1:${innerPort}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://application; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache items; proxy_cache_valid 200 10s; proxy_cache_lock on;
    }
  }
}
`,
  );
  return file;
}
