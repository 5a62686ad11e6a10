/**
 * Which passwords are refused, as OWASP ASVS 5.0 (6.2.1, 6.2.4, 6.2.11) and NIST SP 800-63B ask: those that are short, those that
 * everybody tries first, and those made of a word that anybody would guess here, such as the name of the application or of the user.
 * What kinds of characters a password has is nobody's business.
 *
 * The list of passwords is that of `@zxcvbn-ts/language-common`: some 49,000, from what leaked.
 */
import { loadPeer } from '../../peer/index.ts';
import { SecurityError } from './errors.ts';

export interface PasswordRulesOptions {
  /** Fewest characters. @defaultValue 8 */
  readonly lengthMin?: number | undefined;
  /** Words of this place: the application, the organisation, what it sells. @defaultValue none */
  readonly words?: readonly string[] | undefined;
}

/** Why a password is refused. */
export type PasswordProblem = 'short' | 'common' | 'word';

export interface PasswordRules {
  /**
   * Why a password may not be chosen; undefined: it may. The first call reads the list (some 20 ms and 2 MB).
   * @param words - of this user: name, address
   */
  check(password: string, words?: readonly string[]): Promise<PasswordProblem | undefined>;
}

/** Shorter ones stand in too much that is no word. */
const WORD_LENGTH_MIN = 4;

/** Needs the package `@zxcvbn-ts/language-common` at the first check. Throws {@link SecurityError} for options that make no sense. */
export function createPasswordRules(options: PasswordRulesOptions = {}): PasswordRules {
  const { lengthMin = 8, words: wordsHere = [] } = options;
  if (!Number.isInteger(lengthMin) || lengthMin < 1 || lengthMin > 64) {
    throw new SecurityError(
      'ERR_SECURITY_OPTIONS',
      `lengthMin is ${lengthMin}. It must be a whole number from 1 to 64: longer ones than that must be allowed.`,
    );
  }
  let common: Promise<ReadonlySet<string>> | undefined;
  return {
    async check(password, words = []) {
      if (lengthOf(password.normalize('NFC')) < lengthMin) return 'short';
      const folded = fold(password);
      common ??= loadCommon(lengthMin);
      if ((await common).has(folded)) return 'common';
      let rest = folded;
      for (const word of [...wordsHere, ...words].map(fold)) {
        if (lengthOf(word) >= WORD_LENGTH_MIN) rest = rest.replaceAll(word, '');
      }
      // What is left beside the words must be a password in its own right.
      return rest !== folded && lengthOf(rest) < lengthMin ? 'word' : undefined;
    },
  };
}

async function loadCommon(lengthMin: number): Promise<ReadonlySet<string>> {
  const { dictionary } = await loadPeer<typeof import('@zxcvbn-ts/language-common')>(
    '@zxcvbn-ts/language-common',
    'To refuse common passwords',
  );
  return new Set(dictionary['passwords-common'].map(fold).filter((password) => lengthOf(password) >= lengthMin));
}

/** Who tries words tries them without capitals and accents, too. */
function fold(text: string): string {
  return text.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase();
}

/** In characters, as a person counts them. */
function lengthOf(text: string): number {
  return [...text].length;
}
