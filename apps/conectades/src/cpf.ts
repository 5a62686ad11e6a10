/** Computes the two check digits of the nine digits of a CPF (modulus 11). */
export function completarCpf(nineDigits: string): string {
  const first = checkDigit(nineDigits);
  return `${nineDigits}${first}${checkDigit(`${nineDigits}${first}`)}`;
}

/** Eleven digits whose last two fit; numbers of one repeated digit fit, but are not given out. */
export function isCpfValido(cpf: string): boolean {
  return /^\d{11}$/.test(cpf) && !/^(\d)\1{10}$/.test(cpf) && completarCpf(cpf.slice(0, 9)) === cpf;
}

function checkDigit(digits: string): number {
  let sum = 0;
  for (const [index, digit] of [...digits].entries()) sum += Number(digit) * (digits.length + 1 - index);
  return ((sum * 10) % 11) % 10;
}
