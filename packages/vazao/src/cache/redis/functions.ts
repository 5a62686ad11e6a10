/**
 * What runs inside Redis: each function is one uninterrupted step there.
 *
 * The keys, all in one slot by the hash tag of the namespace:
 *
 *   meta    hash    term of the leader; epoch, its timeline and where it started; position of the relay; last commit relayed
 *   t:…     string  a tag: position of the last commit that touched it, as far as the relay has come
 *   e:…     hash    an answer: epoch, position, tags, value; or a note of the tree of keys: value alone
 *   stream  stream  what the feed of the leader tells, for hosts without a feed of their own: incarnation, number, signature, bytes
 *   told    hash    of the stream: the incarnation that may append, and its last number
 *   wanted  string  somebody reads the stream; newcomer: one of them needs a hello
 *   l:…     string  a lease: who computes the answer; or `open`: what was computed could not be stored, so whoever asks computes
 *
 * What must stay true, in each state that Redis can be in, also after losing the last of its writes:
 *
 *   for the open epoch, each tag that exists is at least the position of the last commit up to `position` that touches it.
 *
 * An answer whose every commit up to its own position was tried is therefore good as of the later of the two positions if
 * all its tags exist and none is newer than it. A tag is made with the position of the last commit relayed: nothing relayed
 * so far that touches it is later. Positions are 24 hexadecimal digits, so that they compare as strings.
 *
 * Flags: `allow-oom` for what must go on in a full Redis and hardly grows it. Without it, `put` is refused there whole.
 * The tags of an answer are read from the answer, so `get` touches keys that it does not declare. In a cluster Redis checks
 * each access: all are of the slot of the declared ones.
 */
import { hash } from 'node:crypto';

/** How long a lease stays open: longer than whoever waits pauses. */
const OPEN_MS = 250;
/** Characters of a tag, which stand side by side in an answer. */
export const TAG_LENGTH = 12;

const BODY = `
local function read(names)
  local positions = {}
  for first = 1, #names, 1000 do
    local some = redis.call('MGET', unpack(names, first, math.min(first + 999, #names)))
    for i = 1, #some do positions[first + i - 1] = some[i] end
  end
  return positions
end

local function is_current(prefix, tags, position)
  local names = {}
  for at = 1, #tags, ${TAG_LENGTH} do names[#names + 1] = prefix .. string.sub(tags, at, at + ${TAG_LENGTH - 1}) end
  local positions = read(names)
  for i = 1, #names do
    if not positions[i] or positions[i] > position then return false end
  end
  return true
end

local function get(keys, args)
  local timeline, covered_from, prefix, token, lease_ms = unpack(args)
  local meta = redis.call('HMGET', keys[1], 'epoch', 'timeline', 'position')
  if not meta[1] or meta[2] ~= timeline then return {'closed'} end
  local found = redis.call('HMGET', keys[2], 'kind', 'epoch', 'position', 'tags')
  if found[1] == 'note' then return {'note', redis.call('HGET', keys[2], 'value')} end
  if found[1] == 'answer' and found[2] == meta[1]
    and (meta[3] >= covered_from or found[3] >= covered_from)
    and is_current(prefix, found[4], found[3]) then
    return {'hit', redis.call('HGET', keys[2], 'value'), found[3], meta[3], redis.call('PTTL', keys[2])}
  end
  local time = redis.call('TIME')
  local now = time[1] .. string.format('%06d', time[2])
  local holder = redis.call('GET', keys[3])
  if not holder then redis.call('SET', keys[3], token, 'PX', lease_ms) end
  if not holder or holder == 'open' then return {'miss', meta[1], now} end
  return {'wait', meta[1], now}
end

local function release(keys, args)
  if redis.call('GET', keys[1]) == args[1] then redis.call('SET', keys[1], 'open', 'PX', ${OPEN_MS}) end
  return 'ok'
end

local function extend(keys, args)
  for i = 1, #keys do
    if redis.call('GET', keys[i]) == args[1 + i] then redis.call('PEXPIRE', keys[i], args[1]) end
  end
  return 'ok'
end

local function put(keys, args)
  local epoch, position, tags, value, expires_at, tag_ms = unpack(args)
  local meta = redis.call('HMGET', keys[1], 'epoch', 'start', 'last')
  if meta[1] ~= epoch then return 'epoch' end
  if position < meta[2] then return 'behind' end
  local names = {}
  for i = 4, #keys do names[#names + 1] = keys[i] end
  local positions = read(names)
  local newer = false
  for i = 1, #names do
    if positions[i] then
      redis.call('PEXPIRE', names[i], tag_ms)
    else
      redis.call('SET', names[i], meta[3], 'PX', tag_ms)
      positions[i] = meta[3]
    end
    if positions[i] > position then newer = true end
  end
  if newer then return 'newer' end
  redis.call('HSET', keys[2], 'kind', 'answer', 'epoch', epoch, 'position', position, 'tags', tags, 'value', value)
  redis.call('PEXPIREAT', keys[2], expires_at)
  redis.call('DEL', keys[3])
  return 'stored'
end

local function note(keys, args)
  redis.call('DEL', keys[1])
  redis.call('HSET', keys[1], 'kind', 'note', 'value', args[1])
  redis.call('PEXPIRE', keys[1], args[2])
  return 'stored'
end

local function state(keys)
  local meta = redis.call('HMGET', keys[1], 'term', 'epoch', 'timeline', 'position')
  for i = 1, 4 do meta[i] = meta[i] or '' end
  return meta
end

local function is_fenced(key, term)
  local known = redis.call('HGET', key, 'term')
  return known and known > term
end

local function lead(keys, args)
  if is_fenced(keys[1], args[1]) then return {'fenced'} end
  redis.call('HSET', keys[1], 'term', args[1])
  local meta = state(keys)
  return {'ok', meta[2], meta[3], meta[4]}
end

local function open(keys, args)
  local term, epoch, timeline, position = unpack(args)
  if is_fenced(keys[1], term) then return 'fenced' end
  redis.call('HSET', keys[1], 'term', term, 'epoch', epoch, 'timeline', timeline,
    'position', position, 'start', position, 'last', position)
  return 'ok'
end

local function close(keys, args)
  if is_fenced(keys[1], args[1]) then return 'fenced' end
  redis.call('HDEL', keys[1], 'epoch', 'timeline', 'position', 'start', 'last')
  return 'ok'
end

local function relay(keys, args)
  local term, epoch, previous, position, last = unpack(args, 1, 5)
  if is_fenced(keys[1], term) then return 'fenced' end
  local meta = redis.call('HMGET', keys[1], 'epoch', 'position')
  if meta[1] ~= epoch then return 'epoch' end
  if meta[2] ~= previous then return 'position' end
  local names = {}
  for i = 2, #keys do names[#names + 1] = keys[i] end
  local positions = read(names)
  for i = 1, #names do
    if positions[i] then redis.call('SET', names[i], args[5 + i], 'KEEPTTL') end
  end
  redis.call('HSET', keys[1], 'position', position)
  if last ~= '' then redis.call('HSET', keys[1], 'last', last) end
  return 'ok'
end

local function wanted(keys)
  return redis.call('EXISTS', keys[1])
end

local function tell(keys, args)
  local meta, stream, told, wanted, newcomer = unpack(keys)
  local term, incarnation, first, length_max, keep_ms = unpack(args, 1, 5)
  if is_fenced(meta, term) then return {'fenced'} end
  local number = tonumber(first)
  if number == 1 then
    redis.call('HSET', meta, 'term', term)
    if redis.call('EXISTS', stream) == 1 then redis.call('XTRIM', stream, 'MAXLEN', 0) end
  else
    local known = redis.call('HMGET', told, 'incarnation', 'number')
    if known[1] ~= incarnation or tonumber(known[2]) ~= number - 1 then return {'lost'} end
  end
  for at = 6, #args, 2 do
    redis.call('XADD', stream, '*', 'incarnation', incarnation, 'number', string.format('%.0f', number),
      'signature', args[at], 'body', args[at + 1])
    number = number + 1
  end
  redis.call('XTRIM', stream, 'MAXLEN', length_max)
  redis.call('PEXPIRE', stream, keep_ms)
  redis.call('HSET', told, 'incarnation', incarnation, 'number', string.format('%.0f', number - 1))
  redis.call('PEXPIRE', told, keep_ms)
  return {'ok', redis.call('EXISTS', wanted), redis.call('DEL', newcomer)}
end

local function follow(keys, args)
  local stream, wanted, newcomer = unpack(keys)
  redis.call('SET', wanted, '1', 'PX', args[1])
  if args[2] == 'newcomer' then redis.call('SET', newcomer, '1', 'PX', args[1]) end
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  return last[1] and last[1][1] or '0-0'
end
`;

const FLAGS = {
  get: 'allow-oom',
  put: '',
  note: '',
  release: 'allow-oom',
  extend: 'allow-oom',
  state: 'no-writes',
  lead: 'allow-oom',
  open: 'allow-oom',
  close: 'allow-oom',
  relay: 'allow-oom',
  wanted: 'no-writes',
  tell: 'allow-oom',
  follow: 'allow-oom',
} as const;

export type FunctionName = keyof typeof FLAGS;

export interface FunctionLibrary {
  /** For `FUNCTION LOAD`. */
  readonly source: string;
  nameOf(name: FunctionName): string;
}

/** The library's name, and those of its functions, carry a hash of the source: two releases stand side by side. */
function createLibrary(body: string): FunctionLibrary {
  const version = hash('sha256', body + JSON.stringify(FLAGS), 'hex').slice(0, 12);
  const nameOf = (name: FunctionName): string => `vazao_${version}_${name}`;
  const registered = Object.entries(FLAGS).map(
    ([name, flag]) =>
      `redis.register_function{function_name='${nameOf(name as FunctionName)}', callback=${name}, flags={${flag && `'${flag}'`}}}`,
  );
  return { source: [`#!lua name=vazao_${version}`, body, ...registered].join('\n'), nameOf };
}

export const LIBRARY: FunctionLibrary = createLibrary(BODY);

/** A position as the functions compare it. */
export function formatPosition(position: bigint): string {
  return position.toString(16).padStart(24, '0');
}

/** Undefined for anything that {@link formatPosition} does not write. */
export function parsePosition(text: unknown): bigint | undefined {
  return typeof text === 'string' && /^[0-9a-f]{24}$/.test(text) ? BigInt(`0x${text}`) : undefined;
}
