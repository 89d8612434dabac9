/**
 * One scalar series: every row the page was sent, in chunks, read back through windows.
 * Owns offsets (what is new, what is missing) and decimation; knows no message and no drawing.
 */

import { CHUNK, Chunk, Summary } from "./chunk";
import type { Stretch } from "./codec";
import type { SeriesSpec } from "./wire.gen";

/**
 * What a chart draws: `n` points in [x0, x1] and the nearest one outside on either side.
 *
 * `min`, `max` and `mean` are finite or NaN; `last` is the value as it was logged. `marks`
 * has NAN | POS_INF | NEG_INF (wire.gen) where such a value lies in the point. `exact` says
 * that every point is one row: then the four arrays are one, unless some value is infinite.
 */
export interface Window {
  n: number;
  x: Float64Array;
  min: Float32Array;
  max: Float32Array;
  mean: Float32Array;
  last: Float32Array;
  marks: Uint8Array;
  exact: boolean;
}

export interface Point {
  x: number;
  value: number;
}

/** What became of a stretch: "gap" means that rows before it are missing. */
export type Appended = "new" | "known" | "gap";

export class Series {
  readonly spec: SeriesSpec;
  #chunks: Chunk[] = [];
  #rows = 0;
  #points = 0;
  #summary = new Summary();

  constructor(spec: SeriesSpec) {
    this.spec = spec;
  }

  /** Rows that were logged, however many points they are kept in. */
  get rows(): number {
    return this.#rows;
  }

  /** First and last x, or null without rows. */
  extent(): [number, number] | null {
    const first = this.#chunks[0];
    const last = this.#chunks[this.#chunks.length - 1];
    return first && last ? [first.x(0), last.lastX()] : null;
  }

  last(): Point | null {
    const chunk = this.#chunks[this.#chunks.length - 1];
    if (!chunk) return null;
    return { x: chunk.lastX(), value: chunk.last[chunk.n - 1] as number };
  }

  /** The point nearest to `x`; of equal ones, the last. */
  at(x: number): Point | null {
    if (this.#points === 0) return null;
    const after = this.#firstAbove(x);
    const left = this.#point(Math.max(0, after - 1));
    const right = this.#point(Math.min(this.#points - 1, after));
    return Math.abs(right.x - x) < Math.abs(x - left.x) ? right : left;
  }

  /** The x of the n-th last row, of the first row if there are fewer, NaN if there are none. */
  tailX(n: number): number {
    const wanted = Math.max(0, this.#rows - n);
    for (let c = this.#chunks.length - 1; c >= 0; c--) {
      const chunk = this.#chunks[c] as Chunk;
      if (chunk.rowBase > wanted) continue;
      let row = wanted - chunk.rowBase;
      if (chunk.counts === null) return chunk.x(row);
      let i = 0;
      while (i < chunk.n - 1 && row >= (chunk.counts[i] as number)) {
        row -= chunk.counts[i++] as number;
      }
      return chunk.x(i);
    }
    return Number.NaN;
  }

  /** Take what is new of a stretch. Rows already held are dropped, so repeats do no harm. */
  append(s: Stretch): Appended {
    if (s.offset > this.#rows) return "gap";
    let from = 0;
    let firstCount: number | null = null;
    let known = this.#rows - s.offset;
    if (s.counts === null) {
      from = known;
    } else {
      while (from < s.x.length && known >= (s.counts[from] as number)) {
        known -= s.counts[from++] as number;
      }
      // A bucket that we hold in part: keep it for the rest of its rows, envelope and all.
      if (from < s.x.length && known > 0) firstCount = (s.counts[from] as number) - known;
    }
    if (from >= s.x.length) return "known";
    while (from < s.x.length) {
      const chunk = this.#tail(s.counts !== null);
      const [points, rows] = [chunk.n, chunk.rows];
      const least = this.extent()?.[1] ?? Number.NEGATIVE_INFINITY;
      from = chunk.fill(s, from, least, firstCount);
      firstCount = null;
      this.#points += chunk.n - points;
      this.#rows += chunk.rows - rows;
    }
    return "new";
  }

  #tail(buckets: boolean): Chunk {
    const tail = this.#chunks[this.#chunks.length - 1];
    if (tail && tail.n < CHUNK && (tail.counts !== null) === buckets) return tail;
    const fresh = new Chunk(this.#points, this.#rows, buckets);
    this.#chunks.push(fresh);
    return fresh;
  }

  /** Index of the first chunk for which `above` holds; the chunks must be ordered by it. */
  #chunkWhere(above: (chunk: Chunk) => boolean): number {
    let lo = 0;
    let hi = this.#chunks.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (above(this.#chunks[mid] as Chunk)) hi = mid;
      else lo = mid + 1;
    }
    return lo;
  }

  /** Number of points with x ≤ `x`. */
  #firstAbove(x: number): number {
    return this.#bound((at) => at > x);
  }

  /** Number of points with x < `x`. */
  #firstFrom(x: number): number {
    return this.#bound((at) => at >= x);
  }

  #bound(past: (x: number) => boolean): number {
    const chunk = this.#chunks[this.#chunkWhere((c) => past(c.lastX()))];
    if (!chunk) return this.#points;
    let lo = 0;
    let hi = chunk.n;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (past(chunk.x(mid))) hi = mid;
      else lo = mid + 1;
    }
    return chunk.base + lo;
  }

  #point(index: number): Point {
    const chunk = this.#chunks[this.#chunkWhere((c) => c.base + c.n > index)] as Chunk;
    const i = index - chunk.base;
    return { x: chunk.x(i), value: chunk.last[i] as number };
  }

  /** All points as they are kept, in stretches that follow each other; copies. */
  stretches(): Stretch[] {
    const out: Stretch[] = [];
    for (let c = 0; c < this.#chunks.length; ) {
      const { counts, base, rowBase } = this.#chunks[c] as Chunk;
      let n = 0;
      for (; c < this.#chunks.length; c++) {
        const chunk = this.#chunks[c] as Chunk;
        if ((chunk.counts === null) !== (counts === null)) break;
        n += chunk.n;
      }
      out.push(this.#stretch(base, n, rowBase, counts !== null));
    }
    return out;
  }

  #stretch(base: number, n: number, offset: number, buckets: boolean): Stretch {
    const last = new Float32Array(n);
    const column = () => (buckets ? new Float32Array(n) : last);
    const [min, max, mean, x] = [column(), column(), column(), new Float64Array(n)];
    const counts = buckets ? new Uint32Array(n) : null;
    const marks = buckets ? new Uint8Array(n) : null;
    this.#each(base, base + n, (chunk, i0, i1) => {
      const at = chunk.base - base;
      for (let i = i0; i < i1; i++) x[at + i] = chunk.x(i);
      last.set(chunk.last.subarray(i0, i1), at);
      if (!buckets) return;
      min.set(chunk.min.subarray(i0, i1), at);
      max.set(chunk.max.subarray(i0, i1), at);
      mean.set(chunk.mean.subarray(i0, i1), at);
      if (chunk.counts) counts?.set(chunk.counts.subarray(i0, i1), at);
      if (chunk.marks) marks?.set(chunk.marks.subarray(i0, i1), at);
    });
    return { id: this.spec.id, offset, x, min, max, mean, last, counts, marks };
  }

  /** The part of [x0, x1] that is kept in buckets wider than `width`, or null. */
  coarse(x0: number, x1: number, width: number): [number, number] | null {
    let found: [number, number] | null = null;
    const from = Math.max(0, this.#firstFrom(x0) - 1);
    const to = Math.min(this.#points, this.#firstAbove(x1) + 1);
    let before = from > 0 ? this.#point(from - 1).x : (this.extent()?.[0] ?? x0);
    this.#each(from, to, (chunk, i0, i1) => {
      if (chunk.counts === null) {
        before = chunk.x(i1 - 1);
        return;
      }
      for (let i = i0; i < i1; i++) {
        const x = chunk.x(i);
        const wide = (chunk.counts[i] as number) > 1 && x - before > width;
        if (wide && x > x0 && before < x1) {
          const end = Math.min(x, x1);
          found = [found ? found[0] : Math.max(before, x0), end];
        }
        before = x;
      }
    });
    return found;
  }

  /** The points of [x0, x1], at most `maxPoints` of them; see `Window`. */
  window(x0: number, x1: number, maxPoints: number): Window {
    const most = Math.max(4, Math.floor(maxPoints));
    const from = Math.max(0, this.#firstFrom(x0) - 1);
    const to = Math.min(this.#points, this.#firstAbove(x1) + 1);
    if (to - from <= most) return this.#copy(from, to);
    // Groups of a power of two, aligned in the chunk: they stand still while the run grows.
    let size = 2;
    while ((to - from) / size > most - 2) size *= 2;
    let out = this.#decimate(from, to, size, most);
    while (out === null) {
      size *= 2;
      out = this.#decimate(from, to, size, most);
    }
    return out;
  }

  /** Call `use` with each chunk that has points in [from, to) and its own range of them. */
  #each(from: number, to: number, use: (chunk: Chunk, i0: number, i1: number) => void): void {
    const first = this.#chunkWhere((c) => c.base + c.n > from);
    for (let c = first; c < this.#chunks.length; c++) {
      const chunk = this.#chunks[c] as Chunk;
      if (chunk.base >= to) return;
      use(chunk, Math.max(0, from - chunk.base), Math.min(chunk.n, to - chunk.base));
    }
  }

  #copy(from: number, to: number): Window {
    const out = blank(Math.max(0, to - from));
    let n = 0;
    let exact = true;
    let marked = false;
    this.#each(from, to, (chunk, i0, i1) => {
      exact &&= chunk.counts === null;
      out.min.set(chunk.min.subarray(i0, i1), n);
      out.max.set(chunk.max.subarray(i0, i1), n);
      out.mean.set(chunk.mean.subarray(i0, i1), n);
      out.last.set(chunk.last.subarray(i0, i1), n);
      for (let i = i0; i < i1; i++, n++) {
        const mark = chunk.markAt(i);
        out.x[n] = chunk.x(i);
        out.marks[n] = mark;
        if (mark === 0) continue;
        marked = true;
        for (const column of [out.min, out.max, out.mean]) {
          if (!Number.isFinite(column[n])) column[n] = Number.NaN;
        }
      }
    });
    if (exact && !marked) out.min = out.max = out.mean = out.last;
    return { ...out, n, exact };
  }

  #decimate(from: number, to: number, size: number, most: number): Window | null {
    const out = blank(most);
    const s = this.#summary;
    const step = Math.min(size, CHUNK);
    let n = 0;
    let x = 0;
    const flush = () => {
      if (s.points === 0) return;
      if (n < most) {
        out.x[n] = x;
        out.min[n] = s.min <= s.max ? s.min : Number.NaN;
        out.max[n] = s.min <= s.max ? s.max : Number.NaN;
        out.mean[n] = s.weight > 0 ? s.sum / s.weight : Number.NaN;
        out.last[n] = s.last;
        out.marks[n] = s.marks;
      }
      n++;
      s.reset();
    };
    s.reset();
    this.#each(from, to, (chunk, i0, i1) => {
      for (let i = i0; i < i1; ) {
        const next = Math.min(i1, (Math.floor(i / step) + 1) * step);
        if (s.points + next - i > size) flush();
        chunk.merge(i, next, s);
        x = chunk.x(next - 1);
        if (s.points >= size) flush();
        i = next;
      }
    });
    flush();
    if (n > most) return null;
    return {
      n,
      x: out.x.subarray(0, n),
      min: out.min.subarray(0, n),
      max: out.max.subarray(0, n),
      mean: out.mean.subarray(0, n),
      last: out.last.subarray(0, n),
      marks: out.marks.subarray(0, n),
      exact: false,
    };
  }
}

/** Columns of a window of `n` points, to be filled. */
export function blank(n: number): Omit<Window, "n" | "exact"> {
  return {
    x: new Float64Array(n),
    min: new Float32Array(n),
    max: new Float32Array(n),
    mean: new Float32Array(n),
    last: new Float32Array(n),
    marks: new Uint8Array(n),
  };
}
