/** A reader of the profile, ready to be asked thousands of times a second. */
import { TortureError } from './errors.ts';
import type { Shown } from './history.ts';
import type { Profile, Reader } from './profile.ts';

export interface Understood {
  readonly shown: Shown;
  readonly owner: string | undefined;
}

/** Bodies that are remembered by reader: the current one, and those that answers on their way may still hold. */
const BODIES_MAX = 4;

export class CompiledReader {
  readonly url: string;
  readonly user: string | undefined;
  readonly weight: number;
  readonly expected: readonly number[];
  readonly #reader: Reader;
  readonly #indexes: ReadonlyMap<string, number>;
  readonly #known: { readonly body: Buffer; readonly understood: Understood }[] = [];

  constructor(reader: Reader, indexes: ReadonlyMap<string, number>) {
    this.#reader = reader;
    this.#indexes = indexes;
    this.url = reader.url;
    this.user = reader.user;
    this.weight = reader.weight ?? 1;
    this.expected = reader.shows.map((name) => findIndex(indexes, name, reader.url));
  }

  /** What the body shows. Equal bodies are compared byte by byte, and parsed once. */
  understand(body: Buffer): Understood {
    for (const { body: known, understood } of this.#known) if (known.equals(body)) return understood;
    const understood = this.#parse(body.toString('utf8'));
    this.#known.unshift({ body: Buffer.from(body), understood });
    if (this.#known.length > BODIES_MAX) this.#known.pop();
    return understood;
  }

  #parse(text: string): Understood {
    const { versions, owner } = this.#reader.read(text);
    const shown: number[] = [];
    for (const [name, version] of versions) {
      if (!Number.isInteger(version) || version < 0) {
        throw new TortureError(
          'ERR_TORTURE_PROFILE',
          `${this.url}: the profile reads ${name} as version ${version} from ${text.slice(0, 1_000)}`,
        );
      }
      shown.push(findIndex(this.#indexes, name, this.url), version);
    }
    return { shown, owner };
  }
}

export function indexRegisters({ registers }: Profile): ReadonlyMap<string, number> {
  return new Map(registers.map((name, index) => [name, index]));
}

export function findIndex(indexes: ReadonlyMap<string, number>, name: string, where: string): number {
  const index = indexes.get(name);
  if (index !== undefined) return index;
  throw new TortureError(
    'ERR_TORTURE_PROFILE',
    `${where} names the register ${name}; the profile has ${[...indexes.keys()].join(', ')}.`,
  );
}
