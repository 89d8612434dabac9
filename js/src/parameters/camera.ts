/**
 * From three dimensions to the flat picture: where the viewer stands, and flights between such places.
 * Orthographic, so that distances in the picture are true in the plane shown. Pure: knows no canvas.
 */

import { clamp } from "../scale";

export type Vec3 = readonly [number, number, number];

export interface Camera {
  /** Turn about the vertical axis (the second component), radians. */
  readonly yaw: number;
  /** Tilt, radians, from -π/2 (seen from below) to π/2 (from above). */
  readonly pitch: number;
  /** 1 shows the whole cloud. */
  readonly zoom: number;
  /** The place in the middle of the picture, in units of the cloud's radius. */
  readonly centre: Vec3;
}

export const HOME: Camera = { yaw: 0.6, pitch: 0.35, zoom: 1, centre: [0, 0, 0] };
const ZOOM: readonly [number, number] = [0.25, 40];

/** The three projections along an axis, by the components that lie across and up. */
export const PLANES = {
  "1·2": { yaw: 0, pitch: 0 },
  "1·3": { yaw: 0, pitch: -Math.PI / 2 },
  "3·2": { yaw: -Math.PI / 2, pitch: 0 },
} as const;
export type PlaneName = keyof typeof PLANES;

/** The picture's axes in space, nine numbers: right, up, and towards the viewer. */
export function axesOf(camera: Pick<Camera, "yaw" | "pitch">): Float64Array {
  const [cy, sy] = [Math.cos(camera.yaw), Math.sin(camera.yaw)];
  const [cp, sp] = [Math.cos(camera.pitch), Math.sin(camera.pitch)];
  return Float64Array.of(cy, 0, -sy, -sy * sp, cp, -cy * sp, sy * cp, sp, cy * cp);
}

/** Turned by a drag of `dx`, `dy` pixels: half a turn for the way across a picture of 600. */
export function turned(camera: Camera, dx: number, dy: number): Camera {
  const half = Math.PI / 2;
  return {
    ...camera,
    yaw: camera.yaw - (dx * Math.PI) / 600,
    pitch: clamp(camera.pitch + (dy * Math.PI) / 600, -half, half),
  };
}

/**
 * Zoomed by `factor` so that what lies `right`, `up` of the middle (in radii of the cloud) stays
 * where it is in the picture.
 */
export function zoomed(camera: Camera, factor: number, right = 0, up = 0): Camera {
  const zoom = clamp(camera.zoom * factor, ZOOM[0], ZOOM[1]);
  const keep = 1 - camera.zoom / zoom;
  return shifted({ ...camera, zoom }, right * keep, up * keep);
}

/** The middle moved to what lies `right`, `up` of it in the picture, in radii. */
export function shifted(camera: Camera, right: number, up: number): Camera {
  const m = axesOf(camera);
  const at = (k: number) => camera.centre[k]! + right * m[k]! + up * m[3 + k]!;
  return { ...camera, centre: [at(0), at(1), at(2)] };
}

/** Slow, fast, slow. */
export function eased(part: number): number {
  const t = clamp(part, 0, 1);
  return t < 0.5 ? 4 * t * t * t : 1 - (2 - 2 * t) ** 3 / 2;
}

/** The angle nearest to `from` that points where `to` does. */
function nearAngle(from: number, to: number): number {
  const turn = 2 * Math.PI;
  return to + Math.round((from - to) / turn) * turn;
}

/** Between two places; zoom goes by factors, so that a flight seems even. */
export function between(a: Camera, b: Camera, part: number): Camera {
  const mix = (p: number, q: number) => p + (q - p) * part;
  const at = (k: number) => mix(a.centre[k]!, b.centre[k]!);
  return {
    yaw: mix(a.yaw, nearAngle(a.yaw, b.yaw)),
    pitch: mix(a.pitch, b.pitch),
    zoom: a.zoom * (b.zoom / a.zoom) ** part,
    centre: [at(0), at(1), at(2)],
  };
}

/** A flight that knows only time: `at(now)` is the place, `over(now)` whether it has arrived. */
export class Flight<T> {
  #start: number | null = null;

  /** `still` for those who want no motion: it arrives at once. */
  constructor(
    private readonly from: T,
    private readonly to: T,
    private readonly mix: (a: T, b: T, part: number) => T,
    private readonly milliseconds: number,
    private readonly still: boolean,
  ) {}

  at(now: number): T {
    this.#start ??= now;
    if (this.over(now)) return this.to;
    return this.mix(this.from, this.to, eased((now - this.#start) / this.milliseconds));
  }

  over(now: number): boolean {
    return this.still || (this.#start !== null && now - this.#start >= this.milliseconds);
  }
}

/** Whether the viewer has asked for less motion. */
export function wantsStill(): boolean {
  return typeof matchMedia === "function" && matchMedia("(prefers-reduced-motion: reduce)").matches;
}
