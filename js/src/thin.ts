/**
 * A series in few bytes: exact where it fits, buckets where it doesn't, the newest rows
 * always exact. The page's half of `nbmonitor/packing.py`; pure functions over stretches.
 */

import { markOf } from "./chunk";
import type { Stretch } from "./codec";

const POINT_BYTES = 4;
const BUCKET_BYTES = 29;
const RECENT = 512;
const LEAST = 16;

export function bytesOf(stretches: readonly Stretch[]): number {
  return stretches.reduce(
    (sum, s) => sum + s.x.length * (s.counts ? BUCKET_BYTES : POINT_BYTES),
    0,
  );
}

/** Points `from` to `to` of a stretch; `offset` counts the rows before them. */
function cut(s: Stretch, from: number, to: number, offset: number): Stretch {
  const part = <T extends Float32Array | Float64Array | Uint32Array | Uint8Array>(a: T): T =>
    a.subarray(from, to) as T;
  return {
    id: s.id,
    offset,
    x: part(s.x),
    min: part(s.min),
    max: part(s.max),
    mean: part(s.mean),
    last: part(s.last),
    counts: s.counts && part(s.counts),
    marks: s.marks && part(s.marks),
  };
}

/** Join every `size` points of consecutive stretches into one bucket; means weigh by rows. */
export function bucketed(stretches: readonly Stretch[], size: number): Stretch | null {
  const first = stretches[0];
  const points = stretches.reduce((sum, s) => sum + s.x.length, 0);
  if (!first || points === 0) return null;
  const n = Math.ceil(points / size);
  const out = {
    id: first.id,
    offset: first.offset,
    x: new Float64Array(n),
    min: new Float32Array(n).fill(Number.NaN),
    max: new Float32Array(n).fill(Number.NaN),
    mean: new Float32Array(n),
    last: new Float32Array(n),
    counts: new Uint32Array(n),
    marks: new Uint8Array(n),
  };
  const sum = new Float64Array(n);
  const weight = new Float64Array(n);
  let at = 0;
  for (const s of stretches) {
    for (let i = 0; i < s.x.length; i++, at++) {
      const b = Math.floor(at / size);
      const rows = s.counts?.[i] ?? 1;
      const [low, high, mean] = [s.min[i]!, s.max[i]!, s.mean[i]!];
      if (Number.isFinite(low) && !(out.min[b]! <= low)) out.min[b] = low;
      if (Number.isFinite(high) && !(out.max[b]! >= high)) out.max[b] = high;
      if (Number.isFinite(mean)) {
        sum[b]! += mean * rows;
        weight[b]! += rows;
      }
      out.x[b] = s.x[i]!;
      out.last[b] = s.last[i]!;
      out.counts[b]! += rows;
      out.marks[b]! |= s.marks ? s.marks[i]! : markOf(s.last[i]!);
    }
  }
  for (let b = 0; b < n; b++) out.mean[b] = weight[b]! > 0 ? sum[b]! / weight[b]! : Number.NaN;
  return out;
}

/** Tell consecutive stretches of one series in about `budget` bytes. */
export function thinned(stretches: readonly Stretch[], budget: number): Stretch[] {
  if (bytesOf(stretches) <= budget) return [...stretches];
  const tail = stretches[stretches.length - 1]!;
  const recent = tail.counts ? 0 : Math.min(RECENT, tail.x.length);
  const split = tail.x.length - recent;
  const old = [...stretches.slice(0, -1), cut(tail, 0, split, tail.offset)];
  const points = old.reduce((sum, s) => sum + s.x.length, 0);
  const allowed = Math.max(LEAST, Math.floor((budget - recent * POINT_BYTES) / BUCKET_BYTES));
  const summary = bucketed(old, Math.ceil(points / allowed));
  const out = summary ? [summary] : [];
  if (recent > 0) out.push(cut(tail, split, tail.x.length, tail.offset + split));
  return out;
}

/** Bytes that each of several may take so that all keep to `budget`; the modest leave theirs. */
export function share(costs: readonly number[], budget: number): number {
  let [left, most] = [budget, budget];
  const sorted = [...costs].sort((a, b) => a - b);
  for (const [done, cost] of sorted.entries()) {
    most = left / (sorted.length - done);
    if (cost > most) return most;
    left -= cost;
  }
  return budget;
}
