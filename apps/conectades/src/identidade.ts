/**
 * Who is asking: tokens signed with the platform's secret (HS256). An access token and a refresh token differ in `typ` and in
 * audience, and both are checked, with the algorithm and the issuer, so that neither passes for the other (RFC 8725).
 *
 * A role is read from the token, so what an administrator takes away lasts at most as long as the access token.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';
import type { FastifyRequest, preHandlerAsyncHookHandler } from 'fastify';
import { errors, jwtVerify, SignJWT } from 'jose';
import type { ApplicationContext, Identify, Identity } from 'vazao';
import { Problema } from './errors.ts';

const ISSUER = 'conectades';
const ACCESS = { typ: 'at+jwt', audience: 'conectades:api', seconds: 15 * 60 } as const;
const REFRESH = { typ: 'refresh+jwt', audience: 'conectades:refresh', seconds: 7 * 24 * 60 * 60 } as const;

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

export interface Tokens {
  sign(usuario: Usuario): Promise<{ access: string; refresh: string }>;
  signAccess(usuario: Usuario): Promise<string>;
  /** The user's id. Throws {@link Problema} when the token does not hold. */
  verifyRefresh(token: string): Promise<number>;
}

export function createTokens({ secret }: Pick<ApplicationContext, 'secret'>): Tokens {
  const key = createSecretKey(secret, 'utf8');
  const signAccess = (usuario: Usuario): Promise<string> =>
    sign(key, ACCESS, usuario.id, {
      papel: usuario.papel,
      pessoa_id: usuario.pessoaId,
      organizadora_id: usuario.organizadoraId,
    });
  return {
    signAccess,
    async sign(usuario) {
      return { access: await signAccess(usuario), refresh: await sign(key, REFRESH, usuario.id, {}) };
    },
    async verifyRefresh(token) {
      const { sub } = await verify(key, REFRESH, token).catch((cause) => {
        throw cause instanceof errors.JOSEError ? new Problema('token_invalido', undefined, { cause }) : cause;
      });
      return Number(sub);
    },
  };
}

/** What the platform calls for every request with an `Authorization` header. A proof that does not hold is an anonymous caller. */
export function createIdentify({ secret }: Pick<ApplicationContext, 'secret'>): Identify {
  const key = createSecretKey(secret, 'utf8');
  return {
    headers: ['authorization'],
    async user({ authorization }) {
      const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization ?? '')?.[1];
      if (token === undefined) return undefined;
      try {
        const { sub, exp, papel, pessoa_id, organizadora_id } = await verify(key, ACCESS, token);
        return { id: String(sub), expiresAt: Number(exp) * 1000, papel, pessoa_id, organizadora_id } as Identity;
      } catch (error) {
        if (error instanceof errors.JOSEError) return undefined;
        throw error;
      }
    },
  };
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

type Kind = typeof ACCESS | typeof REFRESH;

function sign(key: KeyObject, kind: Kind, usuarioId: number, claims: Record<string, unknown>): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: kind.typ })
    .setSubject(String(usuarioId))
    .setIssuer(ISSUER)
    .setAudience(kind.audience)
    .setIssuedAt()
    .setExpirationTime(`${kind.seconds}s`)
    .sign(key);
}

async function verify(key: KeyObject, kind: Kind, token: string): Promise<Record<string, unknown>> {
  const { payload } = await jwtVerify(token, key, {
    algorithms: ['HS256'],
    issuer: ISSUER,
    audience: kind.audience,
    typ: kind.typ,
    requiredClaims: ['sub', 'exp', 'iat'],
  });
  return payload;
}
