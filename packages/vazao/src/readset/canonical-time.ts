/** Canonical forms of dates, times and intervals. */

/** `HH:MM:SS.ffffff`. 24:00 and :60 are left out, as with timestamps. */
export function canonicalTime(text: string): string | undefined {
  const match = /^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,6}))?)?$/.exec(text);
  if (!match) return undefined;
  const [, hour, minute, second = '00', fraction = ''] = match;
  return `${hour}:${minute}:${second}.${fraction.padEnd(6, '0')}`;
}

const ZONE = /(?:Z|z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)$/;

/** With the zone: `12:00+00` and `09:00-03` are the same moment, and not equal. Without one it is the session's. */
export function canonicalTimeWithZone(text: string): string | undefined {
  const zone = ZONE.exec(text)?.[0];
  const time = zone === undefined ? undefined : canonicalTime(text.slice(0, -zone.length));
  return time && zone && `${time} ${parseOffsetSeconds(zone)}`;
}

const TIMESTAMP =
  /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(?: ?(Z|z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?))?)?$/;

/** `YYYY-MM-DD HH:MM:SS.ffffff` (in UTC, for timestamptz), whose order as strings is the order in time. */
export function canonicalTimestamp(text: string, withZone: boolean): string | undefined {
  const match = TIMESTAMP.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone] = match;
  // `timestamp` would ignore a zone and `timestamptz` would take the session's: neither is for us to guess.
  if ((zone !== undefined) !== withZone) return undefined;
  if (hour > '23' || minute > '59' || second > '59') return undefined; // 24:00 and :60 are other moments' other names
  const micros = fraction.padEnd(6, '0');
  const offset = zone === undefined ? 0 : parseOffsetSeconds(zone);
  if (offset === 0) return `${year}-${month}-${day} ${hour}:${minute}:${second}.${micros}`;
  const moment = new Date(0);
  moment.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  moment.setUTCHours(Number(hour), Number(minute), Number(second) - offset);
  if (moment.getUTCFullYear() < 1 || moment.getUTCFullYear() > 9999) return undefined;
  return `${moment.toISOString().slice(0, 19).replace('T', ' ')}.${micros}`;
}

function parseOffsetSeconds(zone: string): number {
  if (zone === 'Z' || zone === 'z') return 0;
  const digits = zone.slice(1).replaceAll(':', '');
  const seconds =
    Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2, 4) || 0) * 60 + Number(digits.slice(4, 6) || 0);
  return zone.startsWith('-') ? -seconds : seconds;
}

const SECOND = 1_000_000n;
const DAY = 86_400n * SECOND;
const MICROS: Readonly<Record<string, bigint>> = {
  year: 360n * DAY,
  mon: 30n * DAY,
  month: 30n * DAY,
  week: 7n * DAY,
  day: DAY,
  hour: 3_600n * SECOND,
  min: 60n * SECOND,
  minute: 60n * SECOND,
};
const FIELD =
  /^(?<sign>[+-]?)(?:(?<count>\d{1,10}) ?(?<unit>year|mon|month|week|day|hour|min|minute)s?|(?<seconds>\d{1,15})(?:\.(?<fraction>\d{1,6}))? ?(?:secs?|seconds?)|(?<clock>\d{1,10}:[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?))(?: |$)/;
const ISO =
  /^P(?=.)(?:(-?\d{1,10})Y)?(?:(-?\d{1,10})M)?(?:(-?\d{1,10})W)?(?:(-?\d{1,10})D)?(?:T(?=.)(?:(-?\d{1,10})H)?(?:(-?\d{1,10})M)?(?:(-?)(\d{1,15})(?:\.(\d{1,6}))?S)?)?$/;

/**
 * As PostgreSQL compares intervals: in microseconds, a month being 30 days and a day 24 hours. Read are `IntervalStyle =
 * postgres`, which the feed sets for itself, and ISO 8601 with whole numbers (and seconds), which mean the same in any style.
 */
export function canonicalInterval(text: string): string | undefined {
  if (text.startsWith('P')) return canonicalIsoInterval(text);
  let rest = text;
  let total = 0n;
  const signs: string[] = [];
  while (rest !== '') {
    const field = FIELD.exec(rest);
    if (!field?.groups) return undefined;
    const { sign = '', count, unit = '', seconds = '', fraction, clock } = field.groups;
    const micros = clock
      ? microsOfClock(clock)
      : count !== undefined
        ? BigInt(count) * (MICROS[unit] as bigint)
        : microsOf(seconds, fraction);
    total += sign === '-' ? -micros : micros;
    signs.push(sign);
    rest = rest.slice(field[0].length);
  }
  if (signs.length === 0) return undefined;
  // In the style `sql_standard` a single sign at the beginning is that of all fields.
  if (signs.length > 1 && signs[0] === '-' && !signs.slice(1).some((sign) => sign !== '')) return undefined;
  return String(total);
}

function canonicalIsoInterval(text: string): string | undefined {
  const match = ISO.exec(text);
  if (!match) return undefined;
  const [, year, month, week, day, hour, minute, sign, seconds, fraction] = match;
  let total = 0n;
  const counts = { year, month, week, day, hour, minute };
  for (const [unit, count] of Object.entries(counts)) total += BigInt(count ?? 0) * (MICROS[unit] as bigint);
  const micros = seconds === undefined ? 0n : microsOf(seconds, fraction);
  return String(sign === '-' ? total - micros : total + micros);
}

function microsOfClock(clock: string): bigint {
  const [hours = '0', minutes = '0', seconds = '0'] = clock.split(':');
  const [whole = '0', fraction] = seconds.split('.');
  return (BigInt(hours) * 3_600n + BigInt(minutes) * 60n) * SECOND + microsOf(whole, fraction);
}

function microsOf(seconds: string, fraction = ''): bigint {
  return BigInt(seconds) * SECOND + BigInt(fraction.padEnd(6, '0'));
}
