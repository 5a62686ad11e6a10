/** Clients that have not read what was written to them: for how long, and what they keep in memory. */
import type { Frame } from './frame.ts';
import type { ResolvedLiveOptions } from './options.ts';
import type { LiveStream } from './stream.ts';

export class SlowStreams {
  readonly #options: Pick<ResolvedLiveOptions, 'slowMaxMs' | 'slowMaxBytes'>;
  /** The slowest first. */
  readonly #streams = new Set<LiveStream>();
  /** A state is one piece of memory, however many have not read it. */
  readonly #readers = new Map<Frame, number>();
  #bytes = 0;
  #cutOff = 0;

  constructor(options: Pick<ResolvedLiveOptions, 'slowMaxMs' | 'slowMaxBytes'>) {
    this.#options = options;
  }

  get cutOff(): number {
    return this.#cutOff;
  }

  add(stream: LiveStream): void {
    const frame = stream.unread;
    if (!frame || this.#streams.has(stream)) return;
    this.#streams.add(stream);
    const readers = this.#readers.get(frame) ?? 0;
    if (readers === 0) this.#bytes += frame.chunk.length;
    this.#readers.set(frame, readers + 1);
    for (const slowest of this.#streams) {
      if (this.#bytes <= this.#options.slowMaxBytes) break;
      this.#cut(slowest);
    }
  }

  /** It has read everything, or has gone. */
  remove(stream: LiveStream): void {
    const frame = stream.unread;
    stream.unread = undefined;
    if (!this.#streams.delete(stream) || !frame) return;
    const readers = (this.#readers.get(frame) ?? 1) - 1;
    if (readers > 0) this.#readers.set(frame, readers);
    else {
      this.#readers.delete(frame);
      this.#bytes -= frame.chunk.length;
    }
  }

  /** Cuts off those who have been slow for too long. */
  sweep(nowMs: number): void {
    for (const stream of this.#streams) {
      if (nowMs - stream.unreadSinceMs < this.#options.slowMaxMs) break;
      this.#cut(stream);
    }
  }

  #cut(stream: LiveStream): void {
    this.#cutOff++;
    this.remove(stream);
    stream.cut();
  }
}
