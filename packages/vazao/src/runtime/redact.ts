/**
 * Keeps secrets out of the log. It works on the finished line, the last place before it leaves the process, so that neither a
 * serializer of the application, a message, a stack nor an error of PostgreSQL passes by it.
 *
 * What is masked: values under names that secrets have, wherever they stand; bodies; bearer and other credentials, tokens,
 * password hashes, cookies, passwords and keys in addresses; and values of rows that PostgreSQL quotes.
 */

const MASK = '[redacted]';

/** Parts of names whose values are secrets, in English and Portuguese; `-` and `_` in names do not count. */
const SECRET_NAMES = [
  'authorization',
  'cookies?',
  'setcookie',
  'passwords?',
  'passwd',
  'passphrase',
  'senhas?',
  'senhahash',
  'passwordhash',
  'secrets?',
  'segredos?',
  'tokens?',
  'access',
  'accesstoken',
  'refresh',
  'refreshtoken',
  'idtoken',
  'csrftoken',
  'xcsrftoken',
  'vazaoposition',
  'sessionid',
  'apikey',
  'xapikey',
  'privatekey',
  'clientsecret',
  'connectionstring',
  'databaseurl',
  'redisurl',
  'body',
  'rawbody',
  'payload',
];
const SECRET_NAME = new RegExp(`^(${SECRET_NAMES.join('|')})$`, 'i');

/** Names of query parameters and form fields, as they stand in an address. */
const PARAMETER =
  /([?&;](?:[\w-]{0,40}(?:token|secret|senha|password|passwd|api[_-]?key|signature)|code|key|sig|auth)=)[^&;\s"'<>\\]+/gi;
/** Every repetition is bounded, or can't begin again within itself: a line costs no more than its length. */
const IN_TEXT: readonly (readonly [RegExp, string])[] = [
  [/\b(Bearer|Basic|Digest|Negotiate)\s+[\w+/=.~-]{4,}/gi, `$1 ${MASK}`],
  [/\beyJ[\w-]{5,4096}\.[\w-]+(?:\.[\w-]*){0,3}/g, MASK],
  [/\$(argon2(?:id|i|d)|scrypt|2[aby])\$[\w$,=+/.-]+/g, `$$$1$$${MASK}`],
  [/\b([a-z][a-z0-9+.-]{0,20}:\/\/[^\s:/?#@"']{0,100}):[^\s/?#"']{0,500}@/gi, `$1:${MASK}@`],
  [/\b(__(?:Host|Secure)-[\w.-]{1,100}=)[^;\s"']+/g, `$1${MASK}`],
  [PARAMETER, `$1${MASK}`],
  [
    /\bKey \(([^()]{0,300})\)=\((?:[^"\\]|\\.){0,2000}?\)(?= (?:already|is not|is still|conflicts)|")/g,
    `Key ($1)=(${MASK})`,
  ],
  [/\bFailing row contains \((?:[^"\\]|\\.)*/g, `Failing row contains (${MASK})`],
];

/** A line of JSON, or any text, without its secrets. */
export function redactLine(line: string): string {
  let text = line;
  if (line.startsWith('{')) {
    try {
      const parsed: unknown = JSON.parse(line);
      if (mask(parsed)) text = `${JSON.stringify(parsed)}\n`;
    } catch {
      // Not one whole JSON: the patterns of text are left.
    }
  }
  for (const [pattern, masked] of IN_TEXT) text = text.replace(pattern, masked);
  return text;
}

/** Masks, in place, what stands under a secret's name; true when there was any. */
function mask(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  let found = false;
  for (const [name, inner] of Object.entries(value)) {
    if (inner !== null && inner !== undefined && inner !== '' && SECRET_NAME.test(name.replaceAll(/[-_]/g, ''))) {
      (value as Record<string, unknown>)[name] = MASK;
      found = true;
    } else if (mask(inner)) {
      found = true;
    }
  }
  return found;
}
