import type { FastifyInstance } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { type CampoInvalido, Problema } from './errors.ts';

const ERRORS_REPORTED_MAX = 20;

/**
 * Validates by TypeBox and reports in Portuguese. Bodies are taken as they are: no coercion, no default, nothing removed.
 * The address has only text, so there a decimal integer is read as one, and an empty query parameter counts as absent.
 */
export function registrarValidacao(app: FastifyInstance): void {
  app.setValidatorCompiler<TSchema>(({ schema, httpPart }) => {
    const validator = Compile(schema);
    const isText = httpPart === 'params' || httpPart === 'querystring';
    return (input: unknown) => {
      const value = isText ? fromText(input as Record<string, unknown>, schema) : input;
      if (!validator.Check(value)) {
        const errors = validator.Errors(value).flatMap(toCampos).slice(0, ERRORS_REPORTED_MAX);
        return { error: new Problema('requisicao_invalida', undefined, { errors }) };
      }
      const campo = httpPart === 'headers' ? undefined : findUnstorableText(value, '');
      if (campo !== undefined) {
        const errors = [{ campo, mensagem: 'contém caracteres que não podem ser guardados' }];
        return { error: new Problema('requisicao_invalida', undefined, { errors }) };
      }
      return { value };
    };
  });
}

function fromText(input: Record<string, unknown>, schema: TSchema): Record<string, unknown> {
  const { properties } = schema as { properties?: Record<string, { type?: string }> };
  const value: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(input)) {
    if (text === '') continue;
    const isInteger = properties?.[name]?.type === 'integer' && typeof text === 'string' && /^-?\d{1,15}$/.test(text);
    Object.defineProperty(value, name, { value: isInteger ? Number(text) : text, enumerable: true });
  }
  return value;
}

/** PostgreSQL's `text` holds no NUL, and UTF-8 no lone surrogate. Returns the place of the first such text. */
function findUnstorableText(value: unknown, path: string): string | undefined {
  if (typeof value === 'string') return value.includes('\0') || !value.isWellFormed() ? path || '/' : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, inner] of Object.entries(value)) {
    const found = findUnstorableText(inner, `${path}/${name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: object;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'um texto',
  integer: 'um número inteiro',
  number: 'um número',
  boolean: 'verdadeiro ou falso',
  object: 'um objeto',
  array: 'uma lista',
  null: 'nulo',
};

function toCampos({ keyword, instancePath, params }: SchemaError): CampoInvalido[] {
  const at = (mensagem: string): CampoInvalido[] => [{ campo: instancePath || '/', mensagem }];
  const given = params as Record<string, unknown>;
  switch (keyword) {
    case 'required':
      return (given.requiredProperties as string[]).map((name) => ({
        campo: `${instancePath}/${name}`,
        mensagem: 'é obrigatório',
      }));
    case 'additionalProperties':
      return []; // told once for each unknown name, by the keyword below
    case 'boolean':
      return at('não é um campo conhecido');
    case 'type':
      return at(
        `deve ser ${[given.type]
          .flat()
          .map((type) => TYPES[String(type)] ?? String(type))
          .join(' ou ')}`,
      );
    case 'enum':
      return at(`deve ser um destes: ${(given.allowedValues as unknown[]).join(', ')}`);
    case 'minLength':
      return at(`deve ter ao menos ${given.limit} caracteres`);
    case 'maxLength':
      return at(`deve ter no máximo ${given.limit} caracteres`);
    case 'minimum':
      return at(`deve ser no mínimo ${given.limit}`);
    case 'maximum':
      return at(`deve ser no máximo ${given.limit}`);
    case 'pattern':
      return at('não tem o formato esperado');
    default:
      return at('não é válido');
  }
}
