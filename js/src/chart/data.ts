/**
 * From windows of series to the columns that uPlot draws. Pure: no canvas, no page.
 *
 * Series need not share their x. uPlot reads `undefined` as "this series has no point
 * here" (the line goes on) and `null` as a gap, which is what NaN and ±Inf become.
 */

import { type Extent, extentOf, smoothed, smoothingSpan, union } from "../scale";
import type { Window } from "../series";
import type { Course } from "../splice";

/** What a chart reads of a line. */
export type Source = Course;

export type Column = (number | null | undefined)[];

/** One series in one view of x. */
export interface Curve {
  window: Window;
  /** Smoothed means, NaN where there is none; null when smoothing is off. */
  smooth: Float64Array | null;
  /** Span of the smoothing in rows. */
  span: number;
}

/** x of every point with a NaN or an infinity in it, with its marks. */
export interface Mark {
  x: number;
  marks: number;
}

/** Columns of one chart: x, then per curve low, high, line, smooth. */
export interface Table {
  x: number[];
  columns: Column[];
}

/** Read a series in [x0, x1]; smoothing warms up on what lies before. */
export function readCurve(
  series: Source,
  [x0, x1]: Extent,
  points: number,
  smooth: boolean,
): Curve {
  const window = series.window(x0, x1, points);
  if (!smooth || window.n < 2) return { window, smooth: null, span: 0 };
  const extent = series.extent() ?? [x0, x1];
  // Rows per unit of x: a series logged every 10 steps has 0.1.
  const density = (series.rows - 1) / Math.max(1e-9, extent[1] - extent[0]);
  const span = smoothingSpan(Math.max(2, (x1 - x0) * density));
  const from = x0 - (3 * span) / Math.max(1e-12, density);
  if (from >= x0 || extent[0] >= x0) return { window, smooth: curve(window, span, density), span };
  const wide = series.window(from, x1, Math.ceil((points * (x1 - from)) / Math.max(1e-9, x1 - x0)));
  const line = curve(wide, span, density);
  return { window, smooth: onto(window, wide, line), span };
}

function curve(window: Window, span: number, density: number): Float64Array {
  const apart = window.n > 1 ? (window.x[window.n - 1]! - window.x[0]!) / (window.n - 1) : 0;
  return smoothed(window.mean, span, window.exact ? 1 : Math.max(1, apart * density));
}

/** Values of `line` over `wide` at the x of `window`. */
function onto(window: Window, wide: Window, line: Float64Array): Float64Array {
  const out = new Float64Array(window.n).fill(Number.NaN);
  let k = 0;
  for (let i = 0; i < window.n; i++) {
    while (k < wide.n - 1 && wide.x[k]! < window.x[i]!) k++;
    out[i] = line[k]!;
  }
  return out;
}

/** Non-finite points of `curves`, by x. */
export function marksOf(curves: readonly Curve[]): Mark[] {
  const out: Mark[] = [];
  for (const { window } of curves) {
    for (let i = 0; i < window.n; i++) {
      const marks = window.marks[i]!;
      if (marks !== 0) out.push({ x: window.x[i]!, marks });
    }
  }
  return out.sort((a, b) => a.x - b.x);
}

/** Extent of all finite values; of the positive ones for a logarithmic axis. */
export function yExtent(curves: readonly Curve[], log: boolean): Extent | null {
  let all: Extent | null = null;
  for (const { window } of curves) {
    const use = log
      ? (values: Float32Array) => extentOf(values.filter((v) => v > 0))
      : (values: Float32Array) => extentOf(values);
    all = union(all, union(use(window.min), use(window.max)));
  }
  return all;
}

/** Points of a smoothed line; more show no more of it and cost time to stroke. */
const SMOOTH_POINTS = 160;

/** Merge curves over one x. */
export function merge(curves: readonly Curve[], log: boolean): Table {
  const xs = mergedX(curves);
  const columns: Column[] = [];
  const usable = (v: number) => Number.isFinite(v) && (!log || v > 0);
  for (const { window, smooth } of curves) {
    const columnsOf = [0, 1, 2, 3].map(() => new Array<number | null | undefined>(xs.length));
    const every = Math.max(1, Math.floor(window.n / SMOOTH_POINTS));
    let k = 0;
    for (let i = 0; i < window.n; i++) {
      while (xs[k]! < window.x[i]!) k++;
      const value = window.mean[i]!;
      const ok = usable(value);
      // A bucket with some NaN in it still has a line; a point that is NaN is a gap.
      columnsOf[2]![k] = ok ? value : null;
      if (!window.exact) {
        columnsOf[0]![k] = ok ? (usable(window.min[i]!) ? window.min[i] : value) : null;
        columnsOf[1]![k] = ok ? window.max[i] : null;
      }
      if (smooth && !(ok && usable(smooth[i]!))) columnsOf[3]![k] = null;
      else if (smooth && (i % every === 0 || i === window.n - 1)) columnsOf[3]![k] = smooth[i];
    }
    columns.push(...columnsOf);
  }
  return { x: xs, columns };
}

/**
 * Leave out of `column` what a straight line shows as well, to within `tolerance` (in y):
 * a smooth curve of 1,000 points is stroked as one of 50. Gaps and their edges stay. Each
 * kept point narrows a cone of slopes from the last one; a point outside ends the stretch.
 */
export function straightened(xs: readonly number[], column: Column, tolerance: number): number {
  let from = -1;
  let low = 0;
  let high = 0;
  let before = -1;
  let kept = 0;
  const begin = (i: number) => {
    from = i;
    [low, high] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    kept += 1;
  };
  for (let i = 0; i < column.length; i++) {
    const y = column[i];
    if (y === undefined) continue;
    if (y === null) {
      if (before !== from) kept += 1;
      [from, before] = [-1, -1];
      continue;
    }
    if (from < 0) begin(i);
    else {
      const start = column[from] as number;
      const slope = (y - start) / (xs[i]! - xs[from]!);
      if (before !== from && (slope < low || slope > high)) begin(before);
      else if (before !== from) column[before] = undefined;
      const [x, base] = [xs[i]! - xs[from]!, column[from] as number];
      low = Math.max(low, (y - tolerance - base) / x);
      high = Math.min(high, (y + tolerance - base) / x);
    }
    before = i;
  }
  return kept + 1;
}

function mergedX(curves: readonly Curve[]): number[] {
  const first = curves[0]?.window;
  if (!first) return [];
  if (curves.length === 1) return dedup(Array.from(first.x.subarray(0, first.n)));
  const all: number[] = [];
  for (const { window } of curves) for (let i = 0; i < window.n; i++) all.push(window.x[i]!);
  return dedup(Array.from(Float64Array.from(all).sort()));
}

function dedup(sorted: number[]): number[] {
  return sorted.every((v, i) => i === 0 || v > sorted[i - 1]!) ? sorted : [...new Set(sorted)];
}

/** Indices of points of a column that no line reaches, because both neighbours are gaps. */
export function lonely(column: Column): number[] {
  const out: number[] = [];
  let before: number | null = null;
  let pending = -1;
  for (let i = 0; i < column.length; i++) {
    const v = column[i];
    if (v === undefined) continue;
    if (v !== null && before === null) pending = i;
    else {
      if (v === null && pending >= 0) out.push(pending);
      pending = -1;
    }
    before = v;
  }
  if (pending >= 0) out.push(pending);
  return out;
}
