/** Shapes that more than one resource uses. What only one uses stands beside its routes. */
import Type, {
  type TArray,
  type TInteger,
  type TNull,
  type TObject,
  type TOptional,
  type TSchema,
  type TString,
  type TUnion,
} from 'typebox';
import { PAGINA_MAX } from './busca.ts';

const INT4_MAX = 2_147_483_647;

export const Id: TInteger = Type.Integer({ minimum: 1, maximum: INT4_MAX });

export const ComId: TObject<{ id: TInteger }> = Type.Object({ id: Id }, { additionalProperties: false });

/** Money on its way in: reais and centavos as text, above zero, at most what `numeric(12,2)` holds. */
export const ValorPositivo: TString = Type.String({
  pattern: '^(?!0+(\\.0{1,2})?$)\\d{1,10}(\\.\\d{1,2})?$',
  maxLength: 13,
  examples: ['12.34'],
});

/** Money on its way out: always two decimals. */
export const Valor: TString = Type.String({ pattern: '^\\d+\\.\\d{2}$', examples: ['1234.50'] });

export const Instante: TString = Type.String({ format: 'date-time' });

export const InstanteOuNulo: TUnion<[TString, TNull]> = Type.Union([Type.String({ format: 'date-time' }), Type.Null()]);

export const NumeroDaPagina: TOptional<TInteger> = Type.Optional(Type.Integer({ minimum: 1, maximum: PAGINA_MAX }));

export const Texto = (minLength: number, maxLength: number): TString =>
  // `\S`: spaces alone are no name.
  Type.String({ minLength, maxLength, ...(minLength > 0 ? { pattern: '\\S' } : {}) });

const UFS = 'AC AL AM AP BA CE DF ES GO MA MG MS MT PA PB PE PI PR RJ RN RO RR RS SC SE SP TO';

export const Uf: TString = Type.String({ pattern: `^(${UFS.replaceAll(' ', '|')})$`, examples: ['SP'] });

export function paginaDe<T extends TSchema>(
  item: T,
): TObject<{ total: TInteger; pagina: TInteger; paginas: TInteger; resultados: TArray<T> }> {
  return Type.Object({
    total: Type.Integer(),
    pagina: Type.Integer(),
    paginas: Type.Integer(),
    resultados: Type.Array(item),
  });
}

/** Larger bodies are refused before they are parsed. */
export const CORPO_BYTES_MAX = 32_768;
