/**
 * Up to 4096 consecutive points of a series, with a summary of each block of 64.
 * Owns storage and summaries; knows nothing of offsets, keys or drawing.
 */

import type { Stretch } from "./codec";
import { NAN, NEG_INF, POS_INF } from "./wire.gen";

export const CHUNK = 4096;
export const BLOCK = 64;

/** The non-finite mark of a value, 0 for a finite one. */
export function markOf(value: number): number {
  if (value - value === 0) return 0;
  if (Number.isNaN(value)) return NAN;
  return value > 0 ? POS_INF : NEG_INF;
}

/** A running summary. Non-finite values count only in `marks` and, as they are, in `last`. */
export class Summary {
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  sum = 0;
  /** Finite rows in `sum`. */
  weight = 0;
  marks = 0;
  last = Number.NaN;
  points = 0;

  reset(): void {
    this.min = Number.POSITIVE_INFINITY;
    this.max = Number.NEGATIVE_INFINITY;
    this.sum = this.weight = this.marks = this.points = 0;
    this.last = Number.NaN;
  }
}

function grown<T extends Float32Array | Float64Array | Uint32Array | Uint8Array>(
  old: T,
  capacity: number,
): T {
  const fresh = new (old.constructor as new (n: number) => T)(capacity);
  fresh.set(old);
  return fresh;
}

/** Block summaries, one array per field, made when the first block fills up. */
class Blocks {
  readonly min: Float32Array;
  readonly max: Float32Array;
  readonly sum: Float64Array;
  readonly weight: Float64Array;
  readonly marks: Uint8Array;

  constructor(n: number) {
    this.min = new Float32Array(n);
    this.max = new Float32Array(n);
    this.sum = new Float64Array(n);
    this.weight = new Float64Array(n);
    this.marks = new Uint8Array(n);
  }

  put(i: number, s: Summary): void {
    this.min[i] = s.min;
    this.max[i] = s.max;
    this.sum[i] = s.sum;
    this.weight[i] = s.weight;
    this.marks[i] = s.marks;
  }

  merge(i: number, into: Summary): void {
    const min = this.min[i] as number;
    const max = this.max[i] as number;
    if (min < into.min) into.min = min;
    if (max > into.max) into.max = max;
    into.sum += this.sum[i] as number;
    into.weight += this.weight[i] as number;
    into.marks |= this.marks[i] as number;
  }
}

export class Chunk {
  n = 0;
  /** Rows that the points stand for. */
  rows = 0;
  min: Float32Array = new Float32Array(BLOCK);
  max: Float32Array;
  mean: Float32Array;
  last: Float32Array;
  counts: Uint32Array | null;
  marks: Uint8Array | null;
  /** Points per row are even in x: x(i) = start + i * stride, while `#x` is null. */
  #start = 0;
  #stride = 0;
  #x: Float64Array | null = null;
  #blocks: Blocks | null = null;
  #summarised = 0;
  #whole: Blocks | null = null;

  constructor(
    readonly base: number,
    readonly rowBase: number,
    buckets: boolean,
  ) {
    this.max = buckets ? new Float32Array(BLOCK) : this.min;
    this.mean = buckets ? new Float32Array(BLOCK) : this.min;
    this.last = buckets ? new Float32Array(BLOCK) : this.min;
    this.counts = buckets ? new Uint32Array(BLOCK) : null;
    this.marks = buckets ? new Uint8Array(BLOCK) : null;
  }

  x(i: number): number {
    return this.#x ? (this.#x[i] as number) : this.#start + this.#stride * i;
  }

  lastX(): number {
    return this.x(this.n - 1);
  }

  #setX(i: number, x: number): void {
    if (this.#x === null) {
      if (i === 0) this.#start = x;
      else if (i === 1) this.#stride = x - this.#start;
      if (this.#start + this.#stride * i === x) return;
      const all = new Float64Array(this.min.length);
      for (let j = 0; j < i; j++) all[j] = this.#start + this.#stride * j;
      this.#x = all;
    }
    this.#x[i] = x;
  }

  #reserve(n: number): void {
    let capacity = this.min.length;
    if (n <= capacity) return;
    while (capacity < n) capacity *= 4;
    const plain = this.counts === null;
    this.min = grown(this.min, capacity);
    this.max = plain ? this.min : grown(this.max, capacity);
    this.mean = plain ? this.min : grown(this.mean, capacity);
    this.last = plain ? this.min : grown(this.last, capacity);
    if (this.counts) this.counts = grown(this.counts, capacity);
    if (this.marks) this.marks = grown(this.marks, capacity);
    if (this.#x) this.#x = grown(this.#x, capacity);
  }

  /** Take points `from`… of a stretch of our kind, as many as fit; return the next index. */
  fill(s: Stretch, from: number, floor: number, firstCount: number | null): number {
    const to = Math.min(s.x.length, from + CHUNK - this.n);
    this.#reserve(this.n + to - from);
    let least = floor;
    for (let i = from; i < to; i++) {
      const at = this.n++;
      // x never goes back: searching depends on it, and a row is not lost over it.
      const x = s.x[i] as number;
      if (x > least) least = x;
      this.#setX(at, least === Number.NEGATIVE_INFINITY ? 0 : least);
      this.min[at] = s.min[i] as number;
      if (this.counts === null || this.marks === null) {
        this.rows++;
        continue;
      }
      this.max[at] = s.max[i] as number;
      this.mean[at] = s.mean[i] as number;
      this.last[at] = s.last[i] as number;
      const count = i === from && firstCount !== null ? firstCount : (s.counts?.[i] ?? 1);
      this.counts[at] = count;
      this.marks[at] = s.marks?.[i] ?? 0;
      this.rows += count;
    }
    return to;
  }

  markAt(i: number): number {
    return this.marks ? (this.marks[i] as number) : markOf(this.min[i] as number);
  }

  #scan(i0: number, i1: number, into: Summary): void {
    const { min: lows, max: highs, mean: means, counts } = this;
    for (let i = i0; i < i1; i++) {
      const low = lows[i] as number;
      const high = highs[i] as number;
      const mean = means[i] as number;
      into.marks |= this.markAt(i);
      if (low - low === 0 && low < into.min) into.min = low;
      if (high - high === 0 && high > into.max) into.max = high;
      if (mean - mean === 0) {
        const weight = counts ? (counts[i] as number) : 1;
        into.sum += mean * weight;
        into.weight += weight;
      }
    }
  }

  #summarise(): void {
    const full = Math.floor(this.n / BLOCK);
    if (full === this.#summarised) return;
    this.#blocks ??= new Blocks(CHUNK / BLOCK);
    const one = new Summary();
    for (let b = this.#summarised; b < full; b++) {
      one.reset();
      this.#scan(b * BLOCK, (b + 1) * BLOCK, one);
      this.#blocks.put(b, one);
    }
    this.#summarised = full;
    if (full === CHUNK / BLOCK) {
      one.reset();
      for (let b = 0; b < full; b++) this.#blocks.merge(b, one);
      this.#whole = new Blocks(1);
      this.#whole.put(0, one);
    }
  }

  /** Merge points i0 ≤ i < i1 into a summary, through the blocks where it can. */
  merge(i0: number, i1: number, into: Summary): void {
    if (i1 <= i0) return;
    this.#summarise();
    into.points += i1 - i0;
    into.last = this.last[i1 - 1] as number;
    if (this.#whole && i0 === 0 && i1 === this.n) {
      this.#whole.merge(0, into);
      return;
    }
    const firstBlock = Math.ceil(i0 / BLOCK);
    const lastBlock = Math.min(Math.floor(i1 / BLOCK), this.#summarised);
    if (this.#blocks === null || lastBlock <= firstBlock) {
      this.#scan(i0, i1, into);
      return;
    }
    this.#scan(i0, firstBlock * BLOCK, into);
    for (let b = firstBlock; b < lastBlock; b++) this.#blocks.merge(b, into);
    this.#scan(lastBlock * BLOCK, i1, into);
  }
}
