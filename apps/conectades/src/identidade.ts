/**
 * Who is asking: access tokens signed with a key that is derived from the platform's secret.
 *
 * A role is read from the token, so what an administrator takes away lasts at most as long as the access token.
 */
import type { FastifyRequest, preHandlerAsyncHookHandler } from 'fastify';
import type { ApplicationContext, Identify, Identity } from 'vazao';
import { createTokens, deriveTokenKey, identifyByToken, type Tokens } from 'vazao/security';
import { Problema } from './errors.ts';

const PAPEIS = ['admin', 'organizadora', 'doador'] as const;
export type Papel = (typeof PAPEIS)[number];

/** The claims by which this application tells users apart. Nothing in it differs from one token of a user to the next. */
export interface Usuario {
  readonly id: number;
  readonly papel: Papel;
  readonly pessoaId: number;
  /** Set for `organizadora`: the organisation that the user works for. */
  readonly organizadoraId: number | null;
}

export interface Acessos {
  sign(usuario: Usuario): Promise<string>;
}

export function createAcessos(context: Pick<ApplicationContext, 'secret'>): Acessos {
  const tokens = createAccessTokens(context);
  return {
    sign: (usuario) =>
      tokens.sign(String(usuario.id), {
        papel: usuario.papel,
        pessoa_id: usuario.pessoaId,
        organizadora_id: usuario.organizadoraId,
      }),
  };
}

/** What the platform calls for every request with an `Authorization` header. A proof that does not hold is an anonymous caller. */
export function createIdentify(context: Pick<ApplicationContext, 'secret'>): Identify {
  return identifyByToken(
    createAccessTokens(context),
    ({ sub, papel, pessoa_id, organizadora_id }): Identity => ({ id: sub, papel, pessoa_id, organizadora_id }),
  );
}

function createAccessTokens({ secret }: Pick<ApplicationContext, 'secret'>): Tokens {
  const keys = [deriveTokenKey(secret, 'conectades access')] as const;
  return createTokens({ issuer: 'conectades', audience: 'conectades:api', keys });
}

/** The user, or undefined for an anonymous caller. In a cached handler this makes the answer per user. */
export function findUsuario(request: Pick<FastifyRequest, 'user'>): Usuario | undefined {
  const { user } = request;
  if (!user) return undefined;
  return {
    id: Number(user.id),
    papel: user.papel as Papel,
    pessoaId: Number(user.pessoa_id),
    organizadoraId: user.organizadora_id as number | null,
  };
}

export function getUsuario(request: Pick<FastifyRequest, 'user'>): Usuario {
  const usuario = findUsuario(request);
  if (!usuario) throw new Problema('nao_autenticado');
  return usuario;
}

/** A `preHandler` that lets pass only these roles; without any, every user who is identified. */
export function exigir(...papeis: readonly Papel[]): preHandlerAsyncHookHandler {
  return async (request) => {
    const { papel } = getUsuario(request);
    if (papeis.length > 0 && !papeis.includes(papel)) throw new Problema('sem_permissao');
  };
}

/** Administrators, and whoever works for that organisation. */
export function podeEditarOrganizadora(usuario: Usuario | undefined, organizadoraId: number): boolean {
  return usuario?.papel === 'admin' || (usuario?.papel === 'organizadora' && usuario.organizadoraId === organizadoraId);
}

/** Marks a route as needing a token in the OpenAPI document. */
export const COM_TOKEN: readonly { [scheme: string]: readonly string[] }[] = [{ token: [] }];
