/** Ways to run one application on one machine, as environments of the command that starts it. */
import type { Candidate } from './run-comparison.ts';

export interface Architecture extends Candidate {
  readonly environment: Readonly<Record<string, string>>;
  /** Servers that are started with it. */
  readonly around: readonly ('nginx' | 'redis-server')[];
}

export const ARCHITECTURE_NAMES = ['single', 'workers', 'cache', 'workers+cache', 'full'] as const;
export type ArchitectureName = (typeof ARCHITECTURE_NAMES)[number];

/** What is compared if nobody says otherwise; `full` joins where its programs are installed. */
export const ARCHITECTURES_DEFAULT: readonly ArchitectureName[] = ['single', 'workers', 'cache', 'workers+cache'];

/** @param workers - of the architectures with several */
export function describeArchitecture(name: ArchitectureName, workers: number): Architecture {
  const one = { WORKERS: '0' };
  const many = { WORKERS: String(workers) };
  const off = { VAZAO_CACHE: 'off' };
  switch (name) {
    case 'single':
      return { name, description: 'one process, no cache', environment: { ...one, ...off }, around: [] };
    case 'workers':
      return { name, description: `${workers} workers, no cache`, environment: { ...many, ...off }, around: [] };
    case 'cache':
      return { name, description: 'one process with the cache', environment: one, around: [] };
    case 'workers+cache':
      return { name, description: `${workers} workers with the cache`, environment: many, around: [] };
    case 'full':
      return {
        name,
        description: `${workers} workers with the cache, Nginx before and Redis behind`,
        environment: many,
        around: ['nginx', 'redis-server'],
      };
  }
}

/** `name:WORKERS=4 CACHE_SIZE=64MB`: an architecture of the caller's own. Undefined if it is not written so. */
export function parseArchitecture(text: string): Architecture | undefined {
  const [, name, settings = ''] = /^([\w+.-]{1,40}):(.*)$/s.exec(text) ?? [];
  if (name === undefined) return undefined;
  const words = settings.split(/\s+/).filter(Boolean);
  const pairs = words.map(
    (word) => /^([A-Z][A-Z0-9_]*)=(.*)$/s.exec(word)?.slice(1, 3) as [string, string] | undefined,
  );
  if (pairs.includes(undefined)) return undefined;
  return {
    name,
    description: words.join(' ') || 'as configured',
    environment: Object.fromEntries(pairs as [string, string][]),
    around: [],
  };
}

/** How Nginx stands in front: connections that are kept to the application, and nothing cached or limited by itself. */
export function nginxConfiguration(options: {
  readonly folder: string;
  readonly port: number;
  readonly upstreamPort: number;
}): string {
  const { folder, port, upstreamPort } = options;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `  ${name}_temp_path ${folder}/${name};`,
  );
  // Started by root, its workers would be somebody who may not write to the folder.
  return `${process.getuid?.() === 0 ? 'user root;\n' : ''}worker_processes auto;
pid ${folder}/nginx.pid;
error_log ${folder}/nginx.log warn;
daemon off;
events { worker_connections 8192; }
http {
${temporary.join('\n')}
  access_log off;
  keepalive_timeout 65s;
  keepalive_requests 1000000;
  upstream application { server 127.0.0.1:${upstreamPort}; keepalive 128; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://application;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`;
}
