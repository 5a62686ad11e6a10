/**
 * Well-formed requests that mean to make the cache give somebody the wrong answer: poisoning by what stands in no key, deception
 * by paths that look like files, pollution of prototypes, fields in values.
 */
export interface Trick {
  readonly name: string;
  readonly requests: readonly string[];
  /** Who asks afterwards, beside those who ask after each trick. */
  readonly victims?: readonly string[];
  /** What must stand in no answer. */
  readonly never?: RegExp;
  /** What must stand in each answer to the requests. */
  readonly always?: RegExp;
}

const get = (target: string, ...fields: string[]): string =>
  `GET ${target} HTTP/1.1\r\n${['Host: vitima', ...fields].map((field) => `${field}\r\n`).join('')}\r\n`;
const post = (body: string, type = 'application/json', target = '/eco', ...fields: string[]): string =>
  `POST ${target} HTTP/1.1\r\n${['Host: vitima', `Content-Type: ${type}`, ...fields].map((field) => `${field}\r\n`).join('')}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const FORM = 'application/x-www-form-urlencoded';

const UNKEYED = [
  'X-Forwarded-Host: mau.example',
  'X-Host: mau.example',
  'X-Forwarded-Server: mau.example',
  'Forwarded: host=mau.example;proto=http',
  'X-Forwarded-Proto: http',
  'X-Forwarded-Scheme: nothttps',
  'X-Forwarded-Port: 1',
  'X-Forwarded-For: 1.2.3.4',
  'X-Original-URL: /segredo',
  'X-Rewrite-URL: /segredo',
  'X-Override-URL: /segredo',
  'X-HTTP-Method-Override: DELETE',
  'X-HTTP-Method: DELETE',
  'X-Method-Override: DELETE',
  'Range: bytes=0-0',
  'Accept-Encoding: mau',
  'Accept: text/html',
  'Origin: https://mau.example',
  'Cookie: sessao=mau',
  'Cache-Control: only-if-cached',
  'Pragma: no-cache',
  'If-None-Match: "mau"',
  'Max-Forwards: 0',
];

/** Ways in which frameworks let a POST be another method, or a GET be one. */
const OVERRIDES: readonly (readonly [name: string, request: (method: string, target: string) => string])[] = [
  ...['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'].map(
    (name) => [name, (method: string, target: string) => post('{}', undefined, target, `${name}: ${method}`)] as const,
  ),
  ['a query', (method, target) => post('{}', undefined, `${target}?_method=${method}`)],
  ['a form', (method, target) => post(`_method=${method}`, FORM, target)],
  ['a body of JSON', (method, target) => post(JSON.stringify({ _method: method }), undefined, target)],
];

/** Paths of a private page that a cache in front, or a careless one, would take for a file or for another page. */
const DECEIVING = [
  '/conta/x.css',
  '/conta%2fx.css',
  '/conta%2Fx.css',
  '/conta;x.css',
  '/conta;.css',
  '/conta%3bx.css',
  '/conta%00x.css',
  '/conta%00.css',
  '/conta%0a.css',
  '/conta%23.css',
  '/conta%3fx.css',
  '/conta.css',
  '/conta.',
  '/conta/',
  '//conta',
  '/conta//',
  '/./conta',
  '/estatico/../conta',
  '/estatico/%2e%2e/conta',
  '/estatico/..%2fconta',
  '/conta/..%2festatico/x.css',
  '/conta/%2e%2e/estatico/x.css',
  '/conta\\x.css',
  '/CONTA',
  '/%63onta',
  '/conta?x.css',
  '/conta?/../x.css',
  '/conta#x.css',
];

const QUERIES = [
  '/busca?q=1;q=2',
  '/busca?q=1&q=2',
  '/busca?q=2&q=1',
  '/busca?q=1%26q=2',
  '/busca?q=1&utm_source=x;q=2',
  '/busca?q[]=1',
  '/busca?q=1#q=2',
  '/busca?q=%00',
  '/busca?Q=1',
  '/busca?q=1&',
  '/busca?&q=1',
  '/busca??q=1',
  '/busca?q',
  '/busca?q=',
  '/busca?=1',
  '/busca?q=1%20',
  '/busca?q=1+',
  '/busca?__proto__=1',
  '/busca?__proto__[polluted]=1',
  '/busca?constructor[prototype][polluted]=1',
  '/busca?__proto__.polluted=1',
  '/busca?hasOwnProperty=1&toString=1',
];

const REFLECTED = [
  'a%0d%0aX-Mau:%201',
  'a%0aX-Mau:%201',
  'a%0dX-Mau:%201',
  'a%0d%0a%0d%0a<b>',
  '%E5%98%8A%E5%98%8DX-Mau:%201',
  'a%00b',
  '%c4%8d%c4%8aX-Mau:1',
];

export const TRICKS: readonly Trick[] = [
  ...UNKEYED.map((field) => ({
    name: `a field that stands in no key: ${field}`,
    requests: [get('/itens/1', field), get('/anfitriao', field), get(`/itens/2?${encodeURIComponent(field)}`, field)],
    victims: [get(`/itens/2?${encodeURIComponent(field)}`)],
    never: /SEGREDO|APAGADO|POSTADO/,
  })),
  ...OVERRIDES.map(([name, request]) => ({
    name: `a POST that says by ${name} that it is another method`,
    // GET as well: what a POST answers must not become the answer of the GET, nor the other way round.
    requests: ['DELETE', 'delete', 'GET', 'HEAD', 'PUT'].flatMap((method) =>
      ['/itens/1', '/itens/2'].map((target) => request(method, target)),
    ),
    victims: [get('/itens/2'), get('/itens/1?_method=DELETE'), get('/itens/2?_method=GET')],
    always: /\r\n\r\nPOSTADO$/,
    never: /APAGADO/,
  })),
  {
    name: 'a GET that says in its query that it is another method',
    requests: [get('/itens/1?_method=DELETE'), get('/itens/2?_method=POST')],
    victims: [get('/itens/2')],
    always: /\r\n\r\n\[\{"id":/,
    never: /APAGADO|POSTADO/,
  },
  {
    name: 'another Host',
    requests: ['GET /anfitriao HTTP/1.1\r\nHost: mau.example\r\n\r\n', get('/anfitriao?1')],
    victims: [get('/anfitriao?1'), 'GET /anfitriao HTTP/1.1\r\nHost: mau.example\r\n\r\n'],
  },
  {
    name: 'a Host with another port',
    requests: ['GET /anfitriao?p HTTP/1.1\r\nHost: vitima:1\r\n\r\n'],
    victims: [get('/anfitriao?p')],
  },
  {
    name: 'a Host in capitals',
    requests: ['GET /anfitriao?c HTTP/1.1\r\nHost: VITIMA\r\n\r\n'],
    victims: [get('/anfitriao?c')],
  },
  {
    name: 'an absolute target of another host',
    requests: [
      'GET http://mau.example/anfitriao HTTP/1.1\r\nHost: vitima\r\n\r\n',
      'GET http://mau.example/itens/1 HTTP/1.1\r\nHost: vitima\r\n\r\n',
    ],
  },
  {
    name: 'a GET with a body',
    requests: [
      `GET /busca?fat HTTP/1.1\r\nHost: vitima\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n\r\nq=mau`,
    ],
    victims: [get('/busca?fat')],
  },
  {
    name: 'a HEAD',
    requests: [`HEAD /itens/2?head HTTP/1.1\r\nHost: vitima\r\nConnection: close\r\n\r\n`],
    victims: [get('/itens/2?head')],
  },
  ...DECEIVING.map((path) => ({
    name: `the page of a user as ${path}`,
    // The victim is led there; the attacker asks for the same without being the victim.
    requests: [get(path, 'X-User: vitima')],
    victims: [get(path), get(path, 'X-User: mau'), get(path, 'X-User: vitima')],
  })),
  ...QUERIES.map((target) => ({
    name: `parameters: ${target}`,
    requests: [get(target)],
    victims: [get('/busca?q=1'), get('/busca?q=2'), get('/busca')],
  })),
  ...REFLECTED.map((value) => ({
    name: `a field in a value: ${value}`,
    requests: [get(`/reflete?v=${value}`), get(`/cru?v=${value}`)],
    victims: [get('/reflete?v=a'), get('/cru?v=a')],
    never: /^X-Mau/im,
  })),
  {
    name: 'prototypes by a body',
    requests: [
      post('{"__proto__":{"polluted":1}}'),
      post('{"constructor":{"prototype":{"polluted":1}}}'),
      post('{"a":{"__proto__":{"polluted":1}}}'),
      post('{"\\u005f_proto__":{"polluted":1}}'),
      post('{"__proto__":null}'),
      post('{"toString":1,"hasOwnProperty":2}'),
      post('[[[[[[]]]]]]'),
    ],
    never: /"polluted":true/,
  },
  {
    name: 'prototypes by fields',
    requests: [
      get('/itens/1', '__proto__: polluted'),
      get('/itens/1', 'constructor: polluted'),
      get('/itens/1', 'toString: polluted'),
    ],
  },
  {
    name: 'prototypes by a path',
    requests: [
      get('/itens/__proto__'),
      get('/itens/constructor'),
      get('/__proto__'),
      get('/constructor'),
      get('/toString'),
    ],
  },
  {
    name: 'a body of another type',
    requests: [
      post('<x/>', 'text/xml'),
      post('a=1', FORM),
      post('{}', 'application/json; charset=utf-7'),
      post('{}', 'application/json, text/plain'),
    ],
  },
];
