/** Where the scene is seen from: an orbit around a target, in perspective. Pure. */

export type Point = readonly [number, number, number];

export interface Pose {
  readonly target: Point;
  /** Radians around the vertical and above the horizon. */
  readonly yaw: number;
  readonly pitch: number;
  readonly distance: number;
}

/** Straight from above the picture would turn by itself. */
const STEEPEST = 1.5;
const NEAREST = 0.4;
const FARTHEST = 400;
const TURN = 0.008;

export function eyeOf({ target, yaw, pitch, distance }: Pose): Point {
  const flat = Math.cos(pitch) * distance;
  return [
    target[0] + Math.sin(yaw) * flat,
    target[1] + Math.sin(pitch) * distance,
    target[2] + Math.cos(yaw) * flat,
  ];
}

/** Turned as a pointer moves, in CSS pixels. */
export function turned(pose: Pose, dx: number, dy: number): Pose {
  const pitch = Math.min(STEEPEST, Math.max(-STEEPEST, pose.pitch + dy * TURN));
  return { ...pose, yaw: pose.yaw - dx * TURN, pitch };
}

/** Moved aside so that what is at the target's distance stays under the pointer. */
export function moved(pose: Pose, dx: number, dy: number, unit: number): Pose {
  const [sin, cos] = [Math.sin(pose.yaw), Math.cos(pose.yaw)];
  const [up, away] = [Math.cos(pose.pitch), Math.sin(pose.pitch)];
  const [x, y, z] = pose.target;
  const target: Point = [
    x - dx * unit * cos - dy * unit * sin * away,
    y + dy * unit * up,
    z + dx * unit * sin - dy * unit * cos * away,
  ];
  return { ...pose, target };
}

export function zoomed(pose: Pose, factor: number): Pose {
  const distance = Math.min(FARTHEST, Math.max(NEAREST, pose.distance * factor));
  return { ...pose, distance };
}

/** Size in the scene of one pixel at the target's distance. */
export function unitAt(distance: number, fov: number, height: number): number {
  return (2 * distance * Math.tan((fov * Math.PI) / 360)) / Math.max(1, height);
}

/** Between two poses, by the shorter way around; for `Flight`. */
export function between(from: Pose, to: Pose, part: number): Pose {
  const mix = (a: number, b: number) => a + (b - a) * part;
  const around = Math.atan2(Math.sin(to.yaw - from.yaw), Math.cos(to.yaw - from.yaw));
  return {
    target: [
      mix(from.target[0], to.target[0]),
      mix(from.target[1], to.target[1]),
      mix(from.target[2], to.target[2]),
    ],
    yaw: from.yaw + around * part,
    pitch: mix(from.pitch, to.pitch),
    // A distance is felt as a ratio.
    distance: from.distance * (to.distance / from.distance) ** part,
  };
}

/** Column by column, as three.js keeps them: `a` · `b`. */
export function product(a: ArrayLike<number>, b: ArrayLike<number>): Float32Array {
  const out = new Float32Array(16);
  for (let column = 0; column < 4; column++) {
    for (let row = 0; row < 4; row++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += a[k * 4 + row]! * b[column * 4 + k]!;
      out[column * 4 + row] = sum;
    }
  }
  return out;
}
