/** Who writes what next, and what became of it. A register is written by one writer at a time. */
import { BURST_FACTOR, untilBurst } from './bursts.ts';
import type { Checker } from './checker.ts';
import { findIndex } from './compiled-reader.ts';
import type { Write } from './history.ts';
import type { PsqlWriter, RequestWriter, SqlWriter, Versions, Writer } from './profile.ts';
import type { Random } from './random.ts';

export interface Begun {
  readonly write: Write;
  readonly writer: Writer;
  readonly versions: Versions;
}

export interface WriteBookOptions {
  readonly checker: Checker;
  readonly writers: readonly Writer[];
  readonly indexes: ReadonlyMap<string, number>;
  readonly random: Random;
  readonly clock: () => number;
  /** Through the application, per second on average. */
  readonly requestsPerSecond: number;
  /** The outcome is unknown. */
  readonly onLost: (write: Write) => void;
}

const REASONS_MAX = 100;

export class WriteBook {
  readonly acknowledged: Map<string, number> = new Map<string, number>();
  readonly lost: Map<string, number> = new Map<string, number>();
  readonly reasons: Map<string, number> = new Map<string, number>();
  readonly #options: WriteBookOptions;
  readonly #registers: ReadonlyMap<Writer, readonly number[]>;
  readonly #requests: readonly RequestWriter[];
  readonly #others: readonly (SqlWriter | PsqlWriter)[];
  #nextRequestAtMs: number;
  #isClosed = false;

  constructor(options: WriteBookOptions) {
    this.#options = options;
    const { writers, indexes } = options;
    this.#registers = new Map(
      writers.map((writer) => [writer, writer.registers.map((name) => findIndex(indexes, name, writer.name))]),
    );
    this.#requests = writers.filter((writer) => writer.kind === 'request');
    this.#others = writers.filter((writer) => writer.kind !== 'request');
    this.#nextRequestAtMs = options.clock();
  }

  /** Nothing more is begun. */
  close(): void {
    this.#isClosed = true;
  }

  /** A writer whose turn it is: `undefined` while it is nobody's. */
  nextRequest(): RequestWriter | undefined {
    const { clock, requestsPerSecond, random } = this.#options;
    const now = clock();
    if (this.#isClosed || now < this.#nextRequestAtMs || untilBurst(now) > 0) return undefined;
    const writer = this.#pick(this.#requests);
    if (!writer) return undefined;
    this.#nextRequestAtMs = now + (-Math.log(1 - random.next()) * 1_000) / (requestsPerSecond * BURST_FACTOR);
    return writer;
  }

  nextStatements(): SqlWriter | PsqlWriter | undefined {
    return this.#isClosed ? undefined : this.#pick(this.#others);
  }

  begin(writer: Writer, client: number | undefined, atMs: number): Begun {
    const { checker, indexes } = this.#options;
    const registers = this.#registers.get(writer) ?? [];
    const empties = (writer.empties ?? []).map((name) => findIndex(indexes, name, writer.name));
    const write = checker.invoke({ writer: writer.name, registers, empties, client }, atMs);
    const versions = Object.fromEntries(writer.registers.map((name, index) => [name, write.versions[index] as number]));
    return { write, writer, versions };
  }

  acknowledge({ write, writer }: Begun, atMs: number, client?: number): void {
    this.#options.checker.acknowledge(write, atMs, client);
    count(this.acknowledged, writer.name);
  }

  lose({ write, writer }: Begun, reason: string): void {
    this.#options.checker.lose(write);
    count(this.lost, writer.name);
    count(this.reasons, `${writer.name}: ${reason}`);
    this.#options.onLost(write);
  }

  #pick<W extends Writer>(writers: readonly W[]): W | undefined {
    const { checker, random } = this.#options;
    const idle = writers.filter((writer) =>
      (this.#registers.get(writer) ?? []).every((register) => !checker.logs[register]?.isBusy),
    );
    return idle.length > 0 ? random.pickWeighted(idle) : undefined;
  }
}

function count(counts: Map<string, number>, name: string): void {
  if (counts.has(name) || counts.size < REASONS_MAX) counts.set(name, (counts.get(name) ?? 0) + 1);
}
