/** What lies under a place of the picture. Pure: places and matrices, no scene. */

import { eyeOf, type Point, type Pose } from "./scene_camera";
import { type Layout, SIDE } from "./scene_layout";
import type { Picked } from "./stage";

/** A point this near to the pointer, in CSS pixels, is meant. */
const REACH = 9;
/** How many square pixels nearer to the pointer a point must be to be picked before one in front. */
const DEPTH = 60;

export interface Ends {
  readonly places: Int16Array;
  readonly scale: number;
}

/** Where point `i` is between two moments, in the scene. */
export function placeOf(a: Ends, b: Ends, t: number, i: number, factor: number, at: Point): Point {
  const [p, q] = [a.scale * factor * (1 - t), b.scale * factor * t];
  const mix = (axis: number) => a.places[i * 3 + axis]! * p + b.places[i * 3 + axis]! * q;
  return [mix(0) + at[0], mix(1) + at[1], mix(2) + at[2]];
}

/**
 * The point under `x`, `y` in CSS pixels, or -1. `view` is projection · view, column by column.
 * 50,000 points take about a millisecond.
 */
export function pickPoint(
  a: Ends,
  b: Ends,
  t: number,
  factor: number,
  at: Point,
  view: Float32Array,
  size: { x: number; y: number; width: number; height: number },
): number {
  const n = Math.min(a.places.length, b.places.length) / 3;
  const [p, q] = [a.scale * factor * (1 - t), b.scale * factor * t];
  const [pa, pb] = [a.places, b.places];
  const [cx, cy] = [size.width / 2, size.height / 2];
  let [best, found] = [REACH * REACH + DEPTH, -1];
  for (let i = 0, k = 0; i < n; i++, k += 3) {
    const x = pa[k]! * p + pb[k]! * q + at[0];
    const y = pa[k + 1]! * p + pb[k + 1]! * q + at[1];
    const z = pa[k + 2]! * p + pb[k + 2]! * q + at[2];
    const w = view[3]! * x + view[7]! * y + view[11]! * z + view[15]!;
    if (w <= 0) continue;
    const sx = cx * (1 + (view[0]! * x + view[4]! * y + view[8]! * z + view[12]!) / w);
    const sy = cy * (1 - (view[1]! * x + view[5]! * y + view[9]! * z + view[13]!) / w);
    const [dx, dy] = [sx - size.x, sy - size.y];
    const off = dx * dx + dy * dy;
    if (off > REACH * REACH) continue;
    // Among those near enough, one in front goes first.
    const score = off + (DEPTH * w) / (w + 20);
    if (score < best) [best, found] = [score, i];
  }
  return found;
}

/** Where a place of the scene is in the picture, in CSS pixels; null behind the viewer. */
export function spotOf(
  [x, y, z]: Point,
  view: Float32Array,
  { width, height }: { width: number; height: number },
): readonly [number, number] | null {
  const row = (r: number) => view[r]! * x + view[r + 4]! * y + view[r + 8]! * z + view[r + 12]!;
  const w = row(3);
  if (w <= 0) return null;
  return [(width / 2) * (1 + row(0) / w), (height / 2) * (1 - row(1) / w)];
}

/** The direction from the eye through a place of the picture. */
export function rayOf(
  pose: Pose,
  fov: number,
  size: { x: number; y: number; width: number; height: number },
): { eye: Point; way: Point } {
  const eye = eyeOf(pose);
  const half = Math.tan((fov * Math.PI) / 360);
  const x = ((2 * size.x) / size.width - 1) * half * (size.width / size.height);
  const y = (1 - (2 * size.y) / size.height) * half;
  const [sy, cy] = [Math.sin(pose.yaw), Math.cos(pose.yaw)];
  const [sp, cp] = [Math.sin(pose.pitch), Math.cos(pose.pitch)];
  // Right, up and forward of a camera that looks at its target.
  const way: Point = [cy * x - sy * sp * y - sy * cp, cp * y - sp, -sy * x - cy * sp * y - cy * cp];
  return { eye, way };
}

/** The nearest sheet that a ray meets. */
export function pickSheet(
  layout: Layout,
  visible: ReadonlySet<number>,
  { eye, way }: { eye: Point; way: Point },
): Extract<Picked, { kind: "plane" }> | null {
  let nearest = Number.POSITIVE_INFINITY;
  let found: Extract<Picked, { kind: "plane" }> | null = null;
  for (const { matrix, at, rows, columns } of layout.sheets) {
    if (!visible.has(matrix)) continue;
    const far = (at[1] - eye[1]) / way[1];
    if (!(far > 0) || far >= nearest) continue;
    const across = (eye[0] + far * way[0] - at[0]) / SIDE + 0.5;
    const down = (eye[2] + far * way[2] - at[2]) / SIDE + 0.5;
    if (across < 0 || across >= 1 || down < 0 || down >= 1) continue;
    nearest = far;
    const row = Math.floor(down * rows);
    found = { kind: "plane", matrix, row, column: Math.floor(across * columns) };
  }
  return found;
}
