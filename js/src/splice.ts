/** A series with one stretch of it known better: reads the stretch there, the series elsewhere. */

import type { Point, Series, Window } from "./series";

/** What a chart reads of a line: a series, or something computed that looks like one. */
export type Course = Pick<Series, "spec" | "rows" | "extent" | "last" | "at" | "tailX" | "window">;

/** Rows of the steps from `start` to `end`, finer than the series has them. */
export interface Piece {
  start: number;
  end: number;
  series: Series;
}

/** Points i of `w` with from ≤ x < to (≤ for the last part). */
function within(w: Window, from: number, to: number, closed: boolean): [number, number] {
  let i0 = 0;
  while (i0 < w.n && w.x[i0]! < from) i0++;
  let i1 = i0;
  while (i1 < w.n && (closed ? w.x[i1]! <= to : w.x[i1]! < to)) i1++;
  return [i0, i1];
}

function joined(parts: readonly { w: Window; i0: number; i1: number }[]): Window {
  const n = parts.reduce((sum, { i0, i1 }) => sum + i1 - i0, 0);
  const out: Window = {
    n,
    x: new Float64Array(n),
    min: new Float32Array(n),
    max: new Float32Array(n),
    mean: new Float32Array(n),
    last: new Float32Array(n),
    marks: new Uint8Array(n),
    exact: parts.every(({ w, i0, i1 }) => w.exact || i0 === i1),
  };
  let at = 0;
  for (const { w, i0, i1 } of parts) {
    for (const field of ["x", "min", "max", "mean", "last", "marks"] as const) {
      out[field].set(w[field].subarray(i0, i1), at);
    }
    at += i1 - i0;
  }
  return out;
}

/** `own` with `piece` in the place of what it holds there. */
export function spliced(own: Series, piece: Piece): Course {
  const { start, end, series } = piece;
  return {
    spec: own.spec,
    rows: own.rows,
    extent: () => own.extent(),
    last: () => own.last(),
    tailX: (n) => own.tailX(n),
    at: (x): Point | null => (x >= start && x <= end ? series.at(x) : own.at(x)),
    window: (x0, x1, most) => {
      if (x1 < start || x0 > end) return own.window(x0, x1, most);
      const fine = series.window(Math.max(x0, start), Math.min(x1, end), most);
      if (x0 >= start && x1 <= end) return fine;
      const parts: { w: Window; i0: number; i1: number }[] = [];
      const add = (w: Window, from: number, to: number, closed: boolean) => {
        const [i0, i1] = within(w, from, to, closed);
        parts.push({ w, i0, i1 });
      };
      if (x0 < start) add(own.window(x0, start, most), Number.NEGATIVE_INFINITY, start, false);
      add(fine, start, end, true);
      // Strictly after the end: the next number that is larger.
      const after = end + Math.max(1e-9, Math.abs(end) * Number.EPSILON * 4);
      if (x1 > end) add(own.window(end, x1, most), after, Number.POSITIVE_INFINITY, true);
      return joined(parts);
    },
  };
}
