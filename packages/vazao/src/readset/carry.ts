/**
 * Carries what is known of a column to the columns that equal it, until nothing new is found.
 *
 * Only conditions that pin values are carried; each is one object, kept in a set for each column, so the work is bounded by
 * (conditions × edges), and by a count. To stop early is sound: a condition that was not carried narrows less.
 */
import { acceptsNull } from './predicate-template.ts';
import type { ColumnNode } from './scope.ts';

const STEPS_MAX = 10_000;

export function carryPins(pinned: Iterable<ColumnNode>): void {
  const queue = [...pinned];
  let steps = 0;
  for (let node = queue.pop(); node; node = queue.pop()) {
    for (const target of node.carriesTo) {
      let isNew = false;
      for (const pin of node.pins) {
        if (acceptsNull(pin) || pin.kind === 'not null' || target.pins.has(pin)) continue;
        if (++steps > STEPS_MAX) return;
        target.pins.add(pin);
        isNew = true;
      }
      if (isNew) queue.push(target);
    }
  }
}
