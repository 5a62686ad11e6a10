import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Configuration } from './configuration.ts';
import { describeError, errorCode, RuntimeError } from './errors.ts';

/** The secret of the configuration; in development one is made once and kept in the data folder. */
export async function resolveSecret(configuration: Configuration): Promise<string> {
  if (configuration.secret !== undefined) return configuration.secret;
  const folder = configuration.dataFolder;
  const file = join(folder, 'secret');
  try {
    // Others may pass through to the folders inside, each of which is closed: PostgreSQL may run as another user.
    await mkdir(folder, { recursive: true, mode: 0o711 });
    await writeFile(file, `${randomBytes(48).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' }).catch((error) => {
      if (errorCode(error) !== 'EEXIST') throw error;
    });
    const secret = (await readFile(file, 'utf8')).trim();
    if (secret.length >= 32) return secret;
  } catch (cause) {
    const remedy = ['EACCES', 'EPERM'].includes(errorCode(cause) ?? '')
      ? 'permission denied. Give this user the right to write there'
      : `${describeError(cause)}. Make room for it`;
    throw new RuntimeError(
      'ERR_RUNTIME_DATA_FOLDER',
      `The data folder ${folder} can't be used: ${remedy}, or set VAZAO_DATA to a folder that can be written.`,
      { cause },
    );
  }
  throw new RuntimeError(
    'ERR_RUNTIME_DATA_FOLDER',
    `${file} holds no secret of at least 32 characters. Delete it, and a new one is made; those who are signed in must sign in again.`,
  );
}
