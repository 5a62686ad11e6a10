#!/usr/bin/env node
/** The command `vazao`. */
import { enableCompileCache } from 'node:module';
import { resolve } from 'node:path';
import { parseCommandLine, UsageError } from './command-line.ts';
import { reportFailure } from './failure.ts';
import { HELP } from './help.ts';

// A terminal or a pipe that is gone must not stop the stopping.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) process.stderr.write(`vazao: ${error.message}\n`);
  else reportFailure(error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

/** Each command is imported when it is asked for, so that `--help` costs nothing. */
async function run(words: readonly string[]): Promise<number> {
  const line = parseCommandLine(words);
  switch (line.command) {
    case 'help':
      process.stdout.write(HELP);
      return 0;
    case 'version': {
      const { readVersion } = await import('../runtime/version.ts');
      process.stdout.write(`${readVersion()}\n`);
      return 0;
    }
    case 'dev':
    case 'start': {
      await keepCompiled();
      const { serve } = await import('./serve.ts');
      return serve(line.application, line.command === 'dev' ? 'development' : 'production');
    }
    case 'explain': {
      const { explain } = await import('./explain.ts');
      return explain(line.url, line.json);
    }
    case 'explain-statement': {
      const { explainStatement } = await import('./explain-statement.ts');
      return explainStatement(line);
    }
    case 'config': {
      const { config } = await import('./config.ts');
      return config(line);
    }
    case 'doctor': {
      const { doctor } = await import('./doctor.ts');
      return doctor(line.application, line.json);
    }
    case 'lab': {
      const { lab } = await import('./lab.ts');
      return lab(line.words);
    }
    case 'torture': {
      const { torture } = await import('./torture.ts');
      return torture(line.torture);
    }
  }
}

/** A process starts in half the time when it need not compile, or strip of types, what one before it has. Workers inherit it. */
async function keepCompiled(): Promise<void> {
  const { findRoot } = await import('../runtime/load-application.ts');
  const folder = resolve(findRoot(process.cwd()), process.env.VAZAO_DATA?.trim() || '.vazao', '.compiled');
  // It does without where the folder can't be written.
  const { directory } = enableCompileCache(folder);
  if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= folder;
}
