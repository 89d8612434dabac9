/** A series as a plain list of rows: slow, obviously right, and what the real one is compared to. */

import { markOf } from "../src/chunk";
import type { Stretch } from "../src/codec";

export interface Row {
  x: number;
  value: number;
}

export function stretch(offset: number, x: number[], values: number[]): Stretch {
  const v = Float32Array.from(values);
  return {
    id: 0,
    offset,
    x: Float64Array.from(x),
    min: v,
    max: v,
    mean: v,
    last: v,
    counts: null,
    marks: null,
  };
}

/** Fold rows into buckets of `size`, as the kernel does with what is old. */
export function buckets(offset: number, rows: readonly Row[], size: number): Stretch {
  const groups: Row[][] = [];
  for (let i = 0; i < rows.length; i += size) groups.push(rows.slice(i, i + size));
  const all = groups.map(summary);
  return {
    id: 0,
    offset,
    x: Float64Array.from(all, (b) => b.x),
    min: Float32Array.from(all, (b) => b.min),
    max: Float32Array.from(all, (b) => b.max),
    mean: Float32Array.from(all, (b) => b.mean),
    last: Float32Array.from(all, (b) => b.last),
    counts: Uint32Array.from(groups, (g) => g.length),
    marks: Uint8Array.from(all, (b) => b.marks),
  };
}

export function summary(rows: readonly Row[]) {
  const finite = rows.map((r) => r.value).filter(Number.isFinite);
  const tail = rows[rows.length - 1] as Row;
  return {
    x: tail.x,
    min: finite.length ? Math.min(...finite) : Number.NaN,
    max: finite.length ? Math.max(...finite) : Number.NaN,
    mean: finite.length ? finite.reduce((a, b) => a + b, 0) / finite.length : Number.NaN,
    last: tail.value,
    marks: rows.reduce((m, r) => m | markOf(r.value), 0),
  };
}

/** Deterministic random numbers for a property test. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

/** Rows whose steps are even, odd, repeated or far apart, with a few non-finite values. */
export function randomRows(n: number, random: () => number, regular: boolean): Row[] {
  const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let x = Math.floor(random() * 50);
  return Array.from({ length: n }, () => {
    const value = random() < 0.01 ? odd[Math.floor(random() * 3)] : Math.fround(random() * 10 - 5);
    const row = { x, value: value as number };
    x += regular ? 2 : random() < 0.1 ? 0 : Math.ceil(random() * 3);
    return row;
  });
}
