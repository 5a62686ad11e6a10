import { createPasswordRules, createPasswords, type PasswordProblem, type Passwords } from 'vazao/security';

/** One for the process: how many passwords are hashed at once is bounded by it. */
export const senhas: Passwords = createPasswords();

const regras = createPasswordRules({
  words: ['conectades', 'doador', 'doação', 'doacao', 'campanha', 'organizadora', 'senha'],
});

const MENSAGENS: Readonly<Record<PasswordProblem, string>> = {
  short: 'é curta demais',
  common: 'está entre as senhas mais usadas; escolha outra',
  word: 'é feita de uma palavra fácil de adivinhar aqui; escolha outra',
};

/** O que há contra a senha; undefined: nada. */
export async function problemaDaSenha(senha: string, palavras: readonly string[] = []): Promise<string | undefined> {
  const problema = await regras.check(senha, palavras);
  return problema && MENSAGENS[problema];
}
