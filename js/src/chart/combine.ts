/**
 * Several series as one: the root of the sum of their squares, which is the norm of the
 * whole when each is the norm of a part. Assumes that they are measured at the same steps.
 */

import type { Point, Window } from "../series";
import type { Source } from "./data";

/** The norm over `parts`; a single part is itself. */
export function combined(parts: readonly Source[], key: string, label: string): Source {
  const first = parts[0];
  if (!first) throw new Error(`${key}: no series given to combine, at least one is needed`);
  const spec = { ...first.spec, key, label };
  const norm = (values: readonly number[]) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
  const point = (read: (part: Source) => Point | null): Point | null => {
    const all = parts.map(read);
    const lead = all[0];
    if (!lead) return null;
    return { x: lead.x, value: norm(all.map((p) => p?.value ?? Number.NaN)) };
  };
  return {
    spec,
    rows: first.rows,
    extent: () => first.extent(),
    tailX: (n) => first.tailX(n),
    last: () => point((part) => part.last()),
    at: (x) => point((part) => part.at(x)),
    window: (x0, x1, most) => {
      const windows = parts.map((part) => part.window(x0, x1, most));
      return windows.length === 1 ? windows[0]! : sum(windows);
    },
  };
}

/** Point by point over the shortest; a NaN in any part makes the whole NaN. */
function sum(windows: readonly Window[]): Window {
  const n = Math.min(...windows.map((w) => w.n));
  const first = windows[0]!;
  const total = (read: (w: Window) => Float32Array): Float32Array => {
    const out = new Float32Array(n);
    for (const w of windows) {
      const values = read(w);
      for (let i = 0; i < n; i++) out[i]! += values[i]! * values[i]!;
    }
    return out.map(Math.sqrt);
  };
  const marks = new Uint8Array(n);
  for (const w of windows) for (let i = 0; i < n; i++) marks[i]! |= w.marks[i]!;
  return {
    n,
    x: first.x.subarray(0, n),
    min: total((w) => w.min),
    max: total((w) => w.max),
    mean: total((w) => w.mean),
    last: total((w) => w.last),
    marks,
    exact: windows.every((w) => w.exact),
  };
}
