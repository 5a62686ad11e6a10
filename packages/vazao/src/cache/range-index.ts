/**
 * Intervals of numbers, and which of them hold a given one: a treap ordered by lower bounds, in which each node knows the
 * greatest upper bound below it (Cormen et al., Introduction to Algorithms, 14.3 "Interval trees"; Seidel and Aragon,
 * Randomized Search Trees, 1996). Adding, removing and finding cost O(log n), finding also one step per interval found.
 */
export interface Interval<T> {
  readonly low: number;
  readonly high: number;
  readonly item: T;
}

interface Node<T> extends Interval<T> {
  /** Tells intervals with the same lower bound apart. */
  readonly id: number;
  readonly priority: number;
  /** Greatest upper bound of the node and all below it. */
  greatest: number;
  left: Node<T> | undefined;
  right: Node<T> | undefined;
}

export class RangeIndex<T> {
  #root: Node<T> | undefined;
  #size = 0;
  #nextId = 0;
  /** xorshift32: priorities need to be random, not unpredictable. */
  #random = 0x2545f491;

  get size(): number {
    return this.#size;
  }

  /** Adds a closed interval; keep what is returned to remove it. Bounds may be infinite. */
  add(low: number, high: number, item: T): Interval<T> {
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    const node: Node<T> = {
      low,
      high,
      item,
      id: this.#nextId++,
      priority: this.#random,
      greatest: high,
      left: undefined,
      right: undefined,
    };
    this.#root = insert(this.#root, node);
    this.#size++;
    return node;
  }

  /** Removes an interval that `add` returned and that is still here. */
  remove(interval: Interval<T>): void {
    this.#root = remove(this.#root, interval as Node<T>);
    this.#size--;
  }

  /** Calls back for each interval that holds the number. Intervals must not be added or removed meanwhile. */
  find(value: number, onFound: (item: T) => void): void {
    findIn(this.#root, value, onFound);
  }

  /** Calls back for every interval. */
  forEach(onItem: (item: T) => void): void {
    findIn(this.#root, undefined, onItem);
  }
}

function isBefore<T>(a: Node<T>, b: Node<T>): boolean {
  return a.low < b.low || (a.low === b.low && a.id < b.id);
}

function insert<T>(root: Node<T> | undefined, node: Node<T>): Node<T> {
  if (!root) return node;
  if (node.priority > root.priority) {
    [node.left, node.right] = split(root, node);
    return updated(node);
  }
  if (isBefore(node, root)) root.left = insert(root.left, node);
  else root.right = insert(root.right, node);
  return updated(root);
}

function remove<T>(root: Node<T> | undefined, node: Node<T>): Node<T> | undefined {
  if (!root) return undefined;
  if (root === node) return merge(root.left, root.right);
  if (isBefore(node, root)) root.left = remove(root.left, node);
  else root.right = remove(root.right, node);
  return updated(root);
}

/** Everything before `at`, and everything after it. */
function split<T>(root: Node<T> | undefined, at: Node<T>): [Node<T> | undefined, Node<T> | undefined] {
  if (!root) return [undefined, undefined];
  if (isBefore(root, at)) {
    const [middle, right] = split(root.right, at);
    root.right = middle;
    return [updated(root), right];
  }
  const [left, middle] = split(root.left, at);
  root.left = middle;
  return [left, updated(root)];
}

/** Everything in `left` is before everything in `right`. */
function merge<T>(left: Node<T> | undefined, right: Node<T> | undefined): Node<T> | undefined {
  if (!left || !right) return left ?? right;
  if (left.priority > right.priority) {
    left.right = merge(left.right, right);
    return updated(left);
  }
  right.left = merge(left, right.left);
  return updated(right);
}

function updated<T>(node: Node<T>): Node<T> {
  node.greatest = Math.max(
    node.high,
    node.left?.greatest ?? Number.NEGATIVE_INFINITY,
    node.right?.greatest ?? Number.NEGATIVE_INFINITY,
  );
  return node;
}

function findIn<T>(node: Node<T> | undefined, value: number | undefined, onFound: (item: T) => void): void {
  if (!node || (value !== undefined && node.greatest < value)) return;
  findIn(node.left, value, onFound);
  if (value !== undefined && node.low > value) return; // and so is everything to the right
  if (value === undefined || node.high >= value) onFound(node.item);
  findIn(node.right, value, onFound);
}
