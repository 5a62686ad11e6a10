/**
 * From an OpenAPI document (3.0 or 3.1, JSON) to a TypeScript module of the types that `routes` takes. Ours, because
 * `openapi-typescript` needs the programming interface that TypeScript 7 does not have. What is not understood is `unknown`.
 */
import { LabError } from '../errors.ts';

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly nullable?: boolean;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
}

interface Parameter {
  readonly $ref?: string;
  readonly name?: string;
  readonly in?: string;
  readonly required?: boolean;
  readonly schema?: Schema;
}

interface WithContent {
  readonly $ref?: string;
  readonly required?: boolean;
  readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>;
}

interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: WithContent;
  readonly responses?: Readonly<Record<string, WithContent>>;
}

const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options'] as const;
type PathItem = { readonly parameters?: readonly Parameter[] } & {
  readonly [Method in (typeof METHODS)[number]]?: Operation;
};

interface Document {
  readonly openapi?: string;
  readonly info?: { readonly title?: string; readonly version?: string };
  readonly paths?: Readonly<Record<string, PathItem>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

/** Throws {@link LabError} for what is no OpenAPI document. */
export function writeRouteTypes(document: unknown): string {
  const api = document as Document | null;
  if (typeof api !== 'object' || api === null || !/^3\./.test(api.openapi ?? '') || api.paths === undefined) {
    throw new LabError('ERR_LAB_OPTION', 'This is no OpenAPI document of version 3 as JSON.');
  }
  const title = [api.info?.title, api.info?.version]
    .filter(Boolean)
    .join(' ')
    .replaceAll(/[^ -~\u00a0-\uffff]|\*\//g, ' ');
  const lines = [
    `/** Requests of ${title || 'an application'}, for scenarios. Written by \`vazao lab types\`; not to be edited. */`,
    '/* biome-ignore-all lint: written by a program */',
    '/* biome-ignore-all format: written by a program */',
  ];
  for (const [name, schema] of Object.entries(api.components?.schemas ?? {})) {
    lines.push(`export type ${nameOf(name)} = ${typeOf(schema)};`);
  }
  lines.push('export interface Routes {');
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation)
        lines.push(`  ${JSON.stringify(`${method.toUpperCase()} ${path}`)}: ${routeOf(operation, item, api)};`);
    }
  }
  lines.push('}', '');
  return lines.join('\n');
}

function routeOf(operation: Operation, item: PathItem, api: Document): string {
  const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((one) => resolve(one, api));
  const parts: string[] = [];
  for (const [part, place] of [
    ['params', 'path'],
    ['query', 'query'],
  ] as const) {
    const own = new Map(
      parameters.filter((one) => one.in === place && one.name).map((one) => [one.name as string, one]),
    );
    if (own.size === 0) continue;
    const needed = [...own.values()].some(({ required }) => required || part === 'params');
    const fields = [...own].map(([name, { required, schema }]) => {
      const optional = required || part === 'params' ? '' : '?';
      return `${JSON.stringify(name)}${optional}: ${typeOf(schema ?? {})}${optional && ' | undefined'}`;
    });
    parts.push(`${part}${needed ? '' : '?'}: { ${fields.join('; ')} }`);
  }
  const body = operation.requestBody && resolve(operation.requestBody, api);
  const sent = body?.content?.['application/json']?.schema;
  if (sent) parts.push(`json${body?.required === false ? '?' : ''}: ${typeOf(sent)}`);
  const answers = Object.entries(operation.responses ?? {})
    .filter(([status]) => /^2/.test(status))
    .map(([, response]) => resolve(response, api).content?.['application/json']?.schema);
  const answer = answers.find((schema) => schema !== undefined);
  parts.push(`answer: ${answer ? typeOf(answer) : 'unknown'}`);
  return `{ ${parts.join('; ')} }`;
}

function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) {
    const [, name] = /^#\/components\/schemas\/(.+)$/.exec(schema.$ref) ?? [];
    return name === undefined ? 'unknown' : nameOf(name.replaceAll('~1', '/').replaceAll('~0', '~'));
  }
  const type = plainTypeOf(schema);
  return schema.nullable ? `(${type} | null)` : type;
}

function plainTypeOf(schema: Schema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return union(schema.enum.map((value) => JSON.stringify(value)));
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return union(choices.map(typeOf));
  if (schema.allOf) return `(${schema.allOf.map(typeOf).join(' & ') || 'unknown'})`;
  const { type } = schema;
  if (typeof type === 'object') return union(type.map((one) => plainTypeOf({ ...schema, type: one })));
  switch (type) {
    case 'string':
    case 'boolean':
    case 'null':
      return type;
    case 'number':
    case 'integer':
      return 'number';
    case 'array':
      if (schema.prefixItems) return `[${schema.prefixItems.map(typeOf).join(', ')}]`;
      return `readonly (${typeOf(schema.items ?? {})})[]`;
    default:
      return type === 'object' || schema.properties ? objectOf(schema) : 'unknown';
  }
}

function objectOf({ properties = {}, required = [], additionalProperties }: Schema): string {
  const fields = Object.entries(properties).map(([name, schema]) => {
    const optional = required.includes(name) ? '' : '?';
    return `${JSON.stringify(name)}${optional}: ${typeOf(schema)}${optional && ' | undefined'}`;
  });
  if (fields.length > 0) return `{ ${fields.join('; ')} }`;
  return `Record<string, ${typeof additionalProperties === 'object' ? typeOf(additionalProperties) : 'unknown'}>`;
}

function union(types: readonly string[]): string {
  return types.length === 0 ? 'never' : `(${[...new Set(types)].join(' | ')})`;
}

function nameOf(name: string): string {
  const plain = name.replaceAll(/[^A-Za-z0-9_$]/g, '_');
  return /^[A-Z]/.test(plain) && plain !== 'Routes' && plain !== 'Record' ? plain : `Schema_${plain}`;
}

/** Follows references within the document, a few steps. */
function resolve<T extends { readonly $ref?: string }>(part: T, api: Document): T {
  let found = part;
  for (let step = 0; step < 8 && found.$ref !== undefined; step++) {
    let at: unknown = api;
    for (const word of found.$ref.replace(/^#\//, '').split('/')) {
      const key = decodeURIComponent(word).replaceAll('~1', '/').replaceAll('~0', '~');
      at =
        typeof at === 'object' && at !== null && Object.hasOwn(at, key)
          ? (at as Record<string, unknown>)[key]
          : undefined;
    }
    found = (at ?? {}) as T;
  }
  return found;
}
