import type { FastifyInstance } from 'fastify';
import Type, { type TSchema } from 'typebox';
import { findCodeBySqlState } from './sqlstate.ts';

/** Every error that leaves this application. Codes are part of the API; titles and details are for people. */
export const ERRORS = {
  requisicao_invalida: { status: 400, title: 'Requisição inválida' },
  json_invalido: { status: 400, title: 'O corpo não é um JSON válido' },
  nao_autenticado: { status: 401, title: 'É preciso se identificar' },
  credenciais_invalidas: { status: 401, title: 'Usuário ou senha incorretos' },
  token_invalido: { status: 401, title: 'Token inválido ou expirado' },
  sem_permissao: { status: 403, title: 'Sem permissão' },
  nao_encontrado: { status: 404, title: 'Não encontrado' },
  rota_inexistente: { status: 404, title: 'Esta rota não existe' },
  campanha_encerrada: { status: 409, title: 'A campanha está encerrada' },
  registro_duplicado: { status: 409, title: 'Já existe um registro com estes dados' },
  transicao_invalida: { status: 409, title: 'Mudança de status não permitida' },
  corpo_grande_demais: { status: 413, title: 'O corpo é grande demais' },
  tipo_nao_suportado: { status: 415, title: 'Tipo de conteúdo não suportado; envie application/json' },
  chave_reutilizada: { status: 422, title: 'A chave de idempotência já foi usada com outro corpo' },
  referencia_inexistente: { status: 422, title: 'Um registro indicado não existe' },
  valor_recusado: { status: 422, title: 'Um valor não é aceito' },
  requisicoes_demais: { status: 429, title: 'Requisições demais; tente mais tarde' },
  erro_interno: { status: 500, title: 'Erro interno' },
  indisponivel: { status: 503, title: 'Serviço indisponível no momento; tente de novo em instantes' },
} as const;

export type ErrorCode = keyof typeof ERRORS;

export interface CampoInvalido {
  /** JSON pointer into the part of the request. */
  readonly campo: string;
  readonly mensagem: string;
}

/** Throw it anywhere in a handler; it becomes `application/problem+json` (RFC 9457). */
export class Problema extends Error {
  readonly code: ErrorCode;
  readonly statusCode: number;
  readonly detail: string | undefined;
  readonly errors: readonly CampoInvalido[] | undefined;

  constructor(code: ErrorCode, detail?: string, options: ErrorOptions & { errors?: readonly CampoInvalido[] } = {}) {
    super(detail ?? ERRORS[code].title, options);
    this.name = 'Problema';
    this.code = code;
    this.statusCode = ERRORS[code].status;
    this.detail = detail;
    this.errors = options.errors;
  }
}

const ProblemDetails = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.Optional(Type.String()),
    code: Type.Enum(Object.keys(ERRORS) as ErrorCode[]),
    errors: Type.Optional(Type.Array(Type.Object({ campo: Type.String(), mensagem: Type.String() }))),
  },
  { description: 'Problema (RFC 9457)' },
);

/** The answers that every route may give besides its own; spread it into `schema.response`. */
export const respostasDeErro: { readonly '4xx': TSchema; readonly '5xx': TSchema } = {
  '4xx': ProblemDetails,
  '5xx': ProblemDetails,
};

/** Turns whatever was thrown into a problem document. Only a {@link Problema} chooses its words: nothing else reaches the client. */
export function registrarErros(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => {
    const problema = error instanceof Problema ? error : translate(error);
    if (problema.statusCode >= 500) request.log.error({ err: error, code: problema.code }, 'request failed');
    if (problema.statusCode === 401) reply.header('www-authenticate', 'Bearer');
    return reply.code(problema.statusCode).type('application/problem+json').send(toProblemDetails(problema));
  });
  app.setNotFoundHandler(() => {
    throw new Problema('rota_inexistente');
  });
  app.get(
    '/api/erros/:code/',
    {
      schema: {
        tags: ['erros'],
        summary: 'Explica um código de erro (o endereço em `type`)',
        params: Type.Object({ code: Type.Enum(Object.keys(ERRORS) as ErrorCode[]) }),
        response: {
          200: Type.Object({ code: Type.String(), title: Type.String(), status: Type.Integer() }),
          ...respostasDeErro,
        },
      },
    },
    async (request) => {
      const { code } = request.params as { code: ErrorCode };
      return { code, ...ERRORS[code] };
    },
  );
}

function toProblemDetails(problema: Problema): Record<string, unknown> {
  const { code, statusCode: status, detail, errors } = problema;
  return { type: `/api/erros/${code}/`, title: ERRORS[code].title, status, detail, code, errors };
}

/** Statuses of Fastify's own errors, and of plugins that only set `statusCode`. */
const CODE_BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'requisicao_invalida',
  401: 'nao_autenticado',
  403: 'sem_permissao',
  404: 'nao_encontrado',
  413: 'corpo_grande_demais',
  415: 'tipo_nao_suportado',
  429: 'requisicoes_demais',
  503: 'indisponivel',
};

const JSON_CODES: readonly unknown[] = ['FST_ERR_CTP_INVALID_JSON_BODY', 'FST_ERR_CTP_EMPTY_JSON_BODY'];

function translate(error: unknown): Problema {
  const { code, statusCode } = (error ?? {}) as { code?: unknown; statusCode?: unknown };
  if (JSON_CODES.includes(code) || error instanceof SyntaxError) return new Problema('json_invalido');
  const known = findCodeBySqlState(error) ?? CODE_BY_STATUS[Number(statusCode)];
  if (known) return new Problema(known, undefined, { cause: error });
  const isClientsFault = Number(statusCode) >= 400 && Number(statusCode) < 500;
  return new Problema(isClientsFault ? 'requisicao_invalida' : 'erro_interno', undefined, { cause: error });
}
