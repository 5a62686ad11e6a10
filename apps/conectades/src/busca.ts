import { Problema } from './errors.ts';

export const BUSCA_LENGTH_MAX = 80;
export const PAGINA_MAX = 100_000;
export const POR_PAGINA = 20;

/** Small letters without accents: the same as `texto_de_busca` in the migration (a test compares the two). */
export function normalizarBusca(texto: string): string {
  return texto
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** A `LIKE` pattern that finds the words typed, anywhere, with no special meaning for `%`, `_` and `\`. */
export function toPadraoLike(busca: string): string {
  return `%${normalizarBusca(busca.trim()).replace(/[\\%_]/g, '\\$&')}%`;
}

export interface Pagina<T> {
  readonly total: number;
  readonly pagina: number;
  readonly paginas: number;
  readonly resultados: T[];
}

export function toPagina<T>(total: number, pagina: number, resultados: T[]): Pagina<T> {
  return { total, pagina, paginas: Math.max(1, Math.ceil(total / POR_PAGINA)), resultados };
}

/** The first row, or 404. */
export function umaLinha<T>(rows: readonly T[], oQue: string): T {
  const [row] = rows;
  if (row === undefined) throw new Problema('nao_encontrado', `${oQue} não existe.`);
  return row;
}
