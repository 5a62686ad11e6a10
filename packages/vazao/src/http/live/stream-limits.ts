/** How many streams there are: in all, of one address, of one user. */
import type { ResolvedLiveOptions } from './options.ts';

export interface Refusal {
  readonly status: 429 | 503;
  readonly detail: string;
}

export class StreamLimits {
  readonly #options: Pick<ResolvedLiveOptions, 'streamsMax' | 'perAddressMax' | 'perUserMax'>;
  readonly #counts = new Map<string, number>();
  #streams = 0;

  constructor(options: Pick<ResolvedLiveOptions, 'streamsMax' | 'perAddressMax' | 'perUserMax'>) {
    this.#options = options;
  }

  get streams(): number {
    return this.#streams;
  }

  /** Takes a place, which the function that is returned gives back, once. */
  take(address: string, user: string | undefined): (() => void) | Refusal {
    const { streamsMax, perAddressMax, perUserMax } = this.#options;
    if (this.#streams >= streamsMax) return { status: 503, detail: 'Too many clients follow answers on this server.' };
    const places: string[] = [];
    const addressPlace = `address ${networkOf(address)}`;
    if (this.#count(addressPlace) >= perAddressMax)
      return { status: 429, detail: `There are ${perAddressMax} streams to this address already.` };
    places.push(addressPlace);
    if (user !== undefined) {
      if (this.#count(`user ${user}`) >= perUserMax)
        return { status: 429, detail: `This user has ${perUserMax} streams already.` };
      places.push(`user ${user}`);
    }
    this.#streams++;
    for (const place of places) this.#counts.set(place, this.#count(place) + 1);
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      this.#streams--;
      for (const place of places) {
        const count = this.#count(place) - 1;
        if (count === 0) this.#counts.delete(place);
        else this.#counts.set(place, count);
      }
    };
  }

  #count(place: string): number {
    return this.#counts.get(place) ?? 0;
  }
}

/** Whoever has one address of IPv6 usually has all of its /64. */
function networkOf(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address;
  const [left = '', right] = address.split('::');
  const groups = left === '' ? [] : left.split(':');
  if (right === undefined) return groups.slice(0, 4).join(':');
  const after = right === '' ? [] : right.split(':');
  const all = [...groups, ...Array<string>(Math.max(0, 8 - groups.length - after.length)).fill('0'), ...after];
  return all.slice(0, 4).join(':');
}
