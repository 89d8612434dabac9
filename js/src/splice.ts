/** A series with one stretch of it known better: reads the stretch there, the series elsewhere. */

import { blank, type Point, type Series, type Window } from "./series";

/** What a chart reads of a line: a series, or something computed that looks like one. */
export type Course = Pick<Series, "spec" | "rows" | "extent" | "last" | "at" | "tailX" | "window">;

/** Rows of the steps from `start` to `end`, finer than the series has them. */
export interface Piece {
  start: number;
  end: number;
  series: Series;
}

/** The next number after `x` that can be told from it. */
const past = (x: number) => x + Math.max(1e-9, Math.abs(x) * 1e-15);

/** Points i of `w` with from ≤ x < to. */
function within(w: Window, from: number, to: number): [number, number] {
  let i0 = 0;
  while (i0 < w.n && w.x[i0]! < from) i0++;
  let i1 = i0;
  while (i1 < w.n && w.x[i1]! < to) i1++;
  return [i0, i1];
}

function joined(parts: readonly { w: Window; i0: number; i1: number }[]): Window {
  const n = parts.reduce((sum, { i0, i1 }) => sum + i1 - i0, 0);
  const out: Window = {
    n,
    ...blank(n),
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
      // The piece knows no neighbour outside: a line that leaves the view needs one.
      const before = fine.n === 0 || fine.x[0]! > x0;
      const after = fine.n === 0 || fine.x[fine.n - 1]! < x1;
      if (!before && !after) return fine;
      const parts: { w: Window; i0: number; i1: number }[] = [];
      const add = (w: Window, from: number, to: number) => {
        const [i0, i1] = within(w, from, to);
        parts.push({ w, i0, i1 });
      };
      const [low, high] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
      if (before) add(own.window(Math.min(x0, start), start, most), low, start);
      add(fine, start, past(end));
      if (after) add(own.window(end, Math.max(x1, end), most), past(end), high);
      return joined(parts);
    },
  };
}
