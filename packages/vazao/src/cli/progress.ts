/**
 * Shows what takes long. On a terminal one line that is rewritten and goes when it is done; elsewhere (a log, CI) a line
 * when a step has lasted a second, and then one every few seconds.
 */
const SHOWN_AFTER_MS = 1_000;
const REPEATED_AFTER_MS = 5_000;
const REDRAW_MS = 100;

export interface ProgressLine {
  update(label: string, fraction?: number): void;
  /** Removes the line; nothing more is shown. */
  end(): void;
}

export function createProgressLine(stream: NodeJS.WriteStream): ProgressLine {
  let label = '';
  let fraction: number | undefined;
  let startedAt = performance.now();
  let shownAt = -Infinity;
  let drawn = false;

  const text = (): string => {
    const percent = fraction === undefined ? '' : ` ${Math.floor(fraction * 100)} %`;
    const seconds = (performance.now() - startedAt) / 1_000;
    return `${label}${percent}${seconds >= 1 ? ` (${seconds.toFixed(0)} s)` : ''}`;
  };
  const show = (): void => {
    const now = performance.now();
    if (label === '') return;
    if (stream.isTTY) {
      stream.write(`\r\x1b[2K… ${text().slice(0, Math.max(10, (stream.columns || 80) - 3))}`);
      drawn = true;
    } else if (now - startedAt >= SHOWN_AFTER_MS && now - shownAt >= REPEATED_AFTER_MS) {
      stream.write(`… ${text()}\n`);
      shownAt = now;
    }
  };
  const timer = setInterval(show, REDRAW_MS);
  timer.unref();
  return {
    update(next, nextFraction) {
      if (kindOf(next) !== kindOf(label)) {
        startedAt = performance.now();
        shownAt = -Infinity;
      }
      label = next;
      fraction = nextFraction;
      // A step that blocks this thread leaves the timer no turn.
      show();
    },
    end() {
      clearInterval(timer);
      if (drawn) stream.write('\r\x1b[2K');
      label = '';
    },
  };
}

/** `seeding: people` and `seeding: donations` are one step. */
function kindOf(label: string): string {
  return label.split(':')[0] ?? label;
}
