/** The token cloud of the flat stage: which points, how large, in which colours, onto which pixels. */

import { clamp } from "../scale";
import type { Camera } from "./camera";
import type { Clusterer } from "./cluster";
import { blendColumn, type Tables } from "./colour";
import { type Level, shuffledOrder } from "./lod";
import { type Box, Splats } from "./splat";
import type { Look, Moment } from "./stage";

/** Radii in CSS pixels: by how much room there is for a point, and by how frequent its token is. */
const SMALL = 1.1;
const LARGE = 2.5;
const FREQUENT = 2.4;

export interface Shown {
  readonly a: Moment;
  readonly b: Moment;
  readonly t: number;
  readonly look: Look;
}

/** The cloud's radius, so that nearly all points are in view: far outliers don't shrink the rest. */
export function radiusOf(points: Int16Array, scale: number): number {
  const n = Math.floor(points.length / 3);
  if (n === 0) return 0;
  const lengths = new Float32Array(n);
  for (let i = 0; i < n; i++)
    lengths[i] = Math.hypot(points[3 * i]!, points[3 * i + 1]!, points[3 * i + 2]!);
  lengths.sort();
  return lengths[Math.min(n - 1, Math.floor(n * 0.99))]! * scale;
}

/** The pair of coordinates to draw between; where one moment lacks them, the other's hold. */
export function pointsOf(
  { a, b }: Shown,
  of: "tokens" | "positions" = "tokens",
): readonly [{ points: Int16Array; scale: number }, { points: Int16Array; scale: number }] | null {
  const scaleOf = (moment: Moment) => (of === "tokens" ? moment.scale : moment.positionScale);
  const [first, second] = [a[of] ? a : b, b[of] ? b : a];
  const [p, q] = [first[of], second[of]];
  if (!p || !q) return null;
  // After a new sample of tokens, a point is another token: nothing lies between the two.
  const from = p.length === q.length ? { points: p, scale: scaleOf(first) } : null;
  const to = { points: q, scale: scaleOf(second) };
  return [from ?? to, to];
}

export class Cloud {
  readonly splats = new Splats();
  /** The points that are drawn. */
  order: Uint32Array = new Uint32Array(0);
  #all: Uint32Array = new Uint32Array(0);
  #ranks: Uint32Array = new Uint32Array(0);
  #chosen = "";
  #image: ImageData | null = null;
  #words = new Uint32Array(0);
  #column = new Uint8Array(0);
  #colours = new Uint32Array(0);
  #radii = new Uint8Array(0);

  /** Draw the cloud into an image of the box's size; `ratio` is device pixels per CSS pixel. */
  paint(
    shown: Shown,
    view: { camera: Camera; radius: number; width: number; height: number; ratio: number },
    level: Level,
    extra: readonly number[],
    tables: Tables,
    clusterer: Clusterer,
  ): ImageData | null {
    const pair = pointsOf(shown);
    const [width, height] = [
      Math.max(1, Math.round(view.width * view.ratio)),
      Math.max(1, Math.round(view.height * view.ratio)),
    ];
    if (!this.#image || this.#image.width !== width || this.#image.height !== height) {
      this.#image = new ImageData(width, height);
      this.#words = new Uint32Array(this.#image.data.buffer);
    }
    this.#words.fill(tables.ground);
    if (!pair) return this.#image;
    const box: Box = { left: 0, top: 0, width, height };
    this.splats.project(pair[0], pair[1], shown.t, { ...view, box });
    const n = this.splats.count;
    this.#choose(n, level, extra);
    this.#colour(shown, n, tables, clusterer);
    this.#size(shown, n, view);
    this.splats.paint(
      { words: this.#words, width, height },
      box,
      this.order,
      this.#radii,
      this.#colours,
      tables.ground,
    );
    return this.#image;
  }

  /** Which points the level allows, and those that must be seen whatever it is. */
  #choose(n: number, level: Level, extra: readonly number[]): void {
    const wanted = `${n} ${level} ${extra.join(" ")}`;
    if (wanted === this.#chosen) return;
    this.#chosen = wanted;
    if (this.#all.length !== n) {
      this.#all = shuffledOrder(n);
      this.#ranks = new Uint32Array(n);
      this.#all.forEach((point, rank) => {
        this.#ranks[point] = rank;
      });
    }
    const more = [...new Set(extra)].filter((i) => i >= 0 && i < n && this.#ranks[i]! >= level);
    const first = this.#all.subarray(0, Math.min(n, level));
    this.order = new Uint32Array(first.length + more.length);
    this.order.set(first);
    this.order.set(more, first.length);
  }

  #colour({ a, b, t, look }: Shown, n: number, tables: Tables, clusterer: Clusterer): void {
    if (this.#colours.length < n) {
      this.#colours = new Uint32Array(n);
      this.#column = new Uint8Array(n);
      this.#radii = new Uint8Array(n);
    }
    if (look.colourBy === "cluster") {
      const found = clusterer.of(t < 0.5 && a.tokens ? a : b);
      const hues = tables.clusters;
      for (let i = 0; i < n; i++) {
        this.#colours[i] = found ? hues[found.labels[i]! % hues.length]! : tables.none;
      }
      return;
    }
    const column = blendColumn(a, b, t, look.colourBy, this.#column);
    for (let i = 0; i < n; i++) this.#colours[i] = column ? tables.point[column[i]!]! : tables.none;
  }

  #size(
    { a, b, t }: Shown,
    n: number,
    view: { camera: Camera; width: number; height: number; ratio: number },
  ): void {
    const room = Math.sqrt((view.width * view.height) / Math.max(1, this.order.length));
    const near = clamp(view.camera.zoom ** 0.3, 0.8, 2);
    const base = clamp(0.2 * room, SMALL, LARGE) * near * view.ratio * 4;
    const frequency = blendColumn(a, b, t, "frequency", this.#column);
    if (!frequency) {
      this.#radii.fill(base, 0, n);
      return;
    }
    const more = FREQUENT * near * view.ratio * 4;
    for (let i = 0; i < n; i++) this.#radii[i] = base * 0.8 + (more * frequency[i]!) / 255;
  }
}
