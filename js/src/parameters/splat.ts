/**
 * Points as small discs, written straight into the pixels of an ImageData: thousands of them cost
 * about a millisecond where as many canvas arcs would cost tens. Knows places, sizes and colours,
 * neither tokens nor cameras' doings.
 */

import type { Camera, Vec3 } from "./camera";
import { axesOf } from "./camera";

/** Where the cloud lies in the picture, in device pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Words of an ImageData. */
export interface Pixels {
  readonly words: Uint32Array;
  readonly width: number;
  readonly height: number;
}

/** Radii go by quarters of a pixel, each with its disc. */
const STEPS = 4;
const LARGEST = 48;
const BUCKETS = 256;
/** Share of the background in the thin dark line around each disc, which tells near from far. */
const RIM = 0.45;

interface Disc {
  readonly reach: number;
  /** Row by row, (2 reach + 1)²: 0 nothing, 1 to 256 the point's share; negative the ground's. */
  readonly weights: Int16Array;
}

function disc(radius: number): Disc {
  const reach = Math.ceil(radius + 1);
  const side = 2 * reach + 1;
  const weights = new Int16Array(side * side);
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) {
      const d = Math.hypot(x, y);
      const inside = Math.min(1, Math.max(0, radius + 0.5 - d));
      const rim = Math.min(1, Math.max(0, radius + 1.5 - d)) * RIM;
      const at = (y + reach) * side + x + reach;
      weights[at] = inside > 0 ? Math.round(inside * 256) : -Math.round(rim * 256);
    }
  }
  return { reach, weights };
}

/** Positions on the screen of one cloud, and the drawing of it. */
export class Splats {
  /** In device pixels; `depth` grows towards the viewer. */
  x = new Float32Array(0);
  y = new Float32Array(0);
  depth = new Float32Array(0);
  count = 0;
  #discs: Disc[] = [];
  #sorted = new Uint32Array(0);
  #buckets = new Uint8Array(0);
  #starts = new Uint32Array(BUCKETS + 1);

  /** Have room for `n` points. */
  resize(n: number): void {
    this.count = n;
    if (this.x.length >= n) return;
    this.x = new Float32Array(n);
    this.y = new Float32Array(n);
    this.depth = new Float32Array(n);
    this.#sorted = new Uint32Array(n);
    this.#buckets = new Uint8Array(n);
  }

  /** Place the points between `a` and `b` (units: value × scale ÷ radius) in `box`. */
  project(
    a: { readonly points: ArrayLike<number>; readonly scale: number },
    b: { readonly points: ArrayLike<number>; readonly scale: number },
    t: number,
    view: { readonly camera: Camera; readonly radius: number; readonly box: Box },
  ): void {
    const { camera, radius, box } = view;
    const n = Math.floor(Math.min(a.points.length, b.points.length) / 3);
    this.resize(n);
    const m = axesOf(camera);
    const unit = unitOf(camera, box);
    const [p, q] = [(a.scale * (1 - t)) / radius, (b.scale * t) / radius];
    const [cx, cy, cz] = camera.centre;
    const middle = [box.left + box.width / 2, box.top + box.height / 2] as const;
    const [m0, m1, m2] = [m[0]! * unit, m[1]! * unit, m[2]! * unit];
    const [m3, m4, m5] = [m[3]! * unit, m[4]! * unit, m[5]! * unit];
    const [m6, m7, m8] = [m[6]!, m[7]!, m[8]!];
    const [from, to] = [a.points, b.points];
    for (let i = 0, k = 0; i < n; i++, k += 3) {
      const x = from[k]! * p + to[k]! * q - cx;
      const y = from[k + 1]! * p + to[k + 1]! * q - cy;
      const z = from[k + 2]! * p + to[k + 2]! * q - cz;
      this.x[i] = middle[0] + x * m0 + y * m1 + z * m2;
      this.y[i] = middle[1] - x * m3 - y * m4 - z * m5;
      this.depth[i] = x * m6 + y * m7 + z * m8;
    }
  }

  /**
   * Draw the points that `order` names, far ones first, each with its `radii` (in quarters of a
   * device pixel) and `colours`.
   */
  paint(
    pixels: Pixels,
    box: Box,
    order: Uint32Array,
    radii: Uint8Array,
    colours: Uint32Array,
    ground: number,
  ): void {
    const [left, right] = [Math.max(0, box.left), Math.min(pixels.width, box.left + box.width)];
    const [top, bottom] = [Math.max(0, box.top), Math.min(pixels.height, box.top + box.height)];
    const sorted = this.#byDepth(order);
    for (let s = 0; s < sorted.length; s++) {
      const i = sorted[s]!;
      const x = Math.round(this.x[i]!);
      const y = Math.round(this.y[i]!);
      const { reach, weights } = this.#disc(radii[i]!);
      if (x + reach < left || x - reach >= right || y + reach < top || y - reach >= bottom)
        continue;
      const side = 2 * reach + 1;
      const colour = colours[i]!;
      const [fromX, toX] = [Math.max(left, x - reach), Math.min(right - 1, x + reach)];
      const [fromY, toY] = [Math.max(top, y - reach), Math.min(bottom - 1, y + reach)];
      for (let py = fromY; py <= toY; py++) {
        let at = py * pixels.width + fromX;
        let w = (py - y + reach) * side + fromX - x + reach;
        for (let px = fromX; px <= toX; px++, at++, w++) {
          const weight = weights[w]!;
          if (weight === 256) pixels.words[at] = colour;
          else if (weight > 0) pixels.words[at] = blended(pixels.words[at]!, colour, weight);
          else if (weight < 0) pixels.words[at] = blended(pixels.words[at]!, ground, -weight);
        }
      }
    }
  }

  /** The drawn point nearest to a place within `reach`, of equals the one in front; null if none. */
  nearest(x: number, y: number, reach: number, order: Uint32Array): number | null {
    let best: number | null = null;
    let least = reach * reach;
    for (let s = 0; s < order.length; s++) {
      const i = order[s]!;
      const d = (this.x[i]! - x) ** 2 + (this.y[i]! - y) ** 2;
      if (d > least || (d === least && best !== null && this.depth[i]! <= this.depth[best]!))
        continue;
      least = d;
      best = i;
    }
    return best;
  }

  #disc(quarters: number): Disc {
    const at = Math.min(quarters, LARGEST);
    this.#discs[at] ??= disc(at / STEPS);
    return this.#discs[at]!;
  }

  /** `order` from far to near: a counting sort, whose 256 slices are fine enough for overlaps. */
  #byDepth(order: Uint32Array): Uint32Array {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let s = 0; s < order.length; s++) {
      const d = this.depth[order[s]!]!;
      if (d < low) low = d;
      if (d > high) high = d;
    }
    const factor = high > low ? (BUCKETS - 1) / (high - low) : 0;
    const starts = this.#starts.fill(0);
    for (let s = 0; s < order.length; s++) {
      const bucket = (this.depth[order[s]!]! - low) * factor;
      this.#buckets[s] = bucket;
      starts[(bucket | 0) + 1]!++;
    }
    for (let k = 0; k < BUCKETS; k++) starts[k + 1]! += starts[k]!;
    for (let s = 0; s < order.length; s++) {
      this.#sorted[starts[this.#buckets[s]!]!++] = order[s]!;
    }
    return this.#sorted.subarray(0, order.length);
  }
}

/** Device pixels of one radius: the cloud fills the smaller side of the box but for a margin. */
export function unitOf(camera: Camera, box: Box): number {
  return Math.max(1, Math.min(box.width, box.height) * 0.46) * camera.zoom;
}

/** Where one place in space (in radii) lies in the picture, in the box's pixels. */
export function placeOf(point: Vec3, camera: Camera, box: Box): [number, number] {
  const m = axesOf(camera);
  const unit = unitOf(camera, box);
  const d = [0, 1, 2].map((k) => point[k]! - camera.centre[k]!);
  const along = (k: number) => d[0]! * m[k]! + d[1]! * m[k + 1]! + d[2]! * m[k + 2]!;
  return [box.left + box.width / 2 + along(0) * unit, box.top + box.height / 2 - along(3) * unit];
}

/** Two colours mixed, red and blue in one multiplication; `weight` of 256 is all `over`. */
function blended(under: number, over: number, weight: number): number {
  const rest = 256 - weight;
  const rb = (Math.imul(over & 0xff00ff, weight) + Math.imul(under & 0xff00ff, rest)) >>> 8;
  const g = (Math.imul(over & 0xff00, weight) + Math.imul(under & 0xff00, rest)) >>> 8;
  return ((rb & 0xff00ff) | (g & 0xff00) | 0xff000000) >>> 0;
}
