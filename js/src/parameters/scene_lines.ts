/** Lines of the scene: edges of sheets, the floor, trails. Each colour belongs to a corner. */

import { rgb } from "../paint";
import { type Layout, SIDE } from "./scene_layout";
import { LINES_FRAGMENT, LINES_VERTEX } from "./scene_shaders";
import type { Attribute, Geometry, Material, Node3, Three } from "./scene_three";

/** Pairs of points, xyz after xyz, and a colour with its opacity for each point, 0 to 255. */
export interface Segments {
  readonly places: Float32Array;
  readonly tints: Uint8Array;
}

export class Lines {
  readonly node: Node3;
  readonly #geometry: Geometry;
  readonly #material: Material;
  readonly #places: Attribute;
  readonly #tints: Attribute;

  constructor(three: Three) {
    this.#geometry = new three.Geometry();
    this.#places = new three.Attribute(new Float32Array(6), 3);
    this.#tints = new three.Attribute(new Uint8Array(8), 4, true);
    this.#geometry.addAttribute("position", this.#places);
    this.#geometry.addAttribute("tint", this.#tints);
    this.#material = new three.Material({
      vertexShader: LINES_VERTEX,
      fragmentShader: LINES_FRAGMENT,
      transparent: true,
      depthWrite: false,
    });
    this.node = new three.Lines(this.#geometry, this.#material);
    this.node.frustumCulled = false;
    this.node.renderOrder = 1;
    this.set({ places: new Float32Array(0), tints: new Uint8Array(0) });
  }

  set({ places, tints }: Segments): void {
    this.node.visible = places.length > 0;
    if (places.length === 0) return;
    this.#places.setArray(places);
    this.#tints.setArray(tints);
    this.#places.needsUpdate = true;
    this.#tints.needsUpdate = true;
  }

  dispose(): void {
    this.#geometry.dispose();
    this.#material.dispose();
  }
}

class Pen {
  readonly places: number[] = [];
  readonly tints: number[] = [];

  line(from: readonly number[], to: readonly number[], color: string, alpha: number): void {
    this.places.push(...from, ...to);
    const tint = [...rgb(color), Math.round(255 * alpha)];
    this.tints.push(...tint, ...tint);
  }

  done(): Segments {
    return { places: Float32Array.from(this.places), tints: Uint8Array.from(this.tints) };
  }
}

/** The axes of the tokens, through their origin, and an edge around every sheet that is seen. */
export function frameLines(
  layout: Layout,
  visible: ReadonlySet<number>,
  tokens: boolean,
  color: string,
): Segments {
  const pen = new Pen();
  const { at: origin, radius } = layout.tokens;
  for (let axis = 0; tokens && axis < 3; axis++) {
    const end = (sign: number) => origin.map((v, k) => (k === axis ? v + sign * radius : v));
    pen.line(end(-1), end(1), color, 0.7);
  }
  const s = SIDE / 2;
  for (const { matrix, at } of layout.sheets) {
    if (!visible.has(matrix)) continue;
    const corners = [
      [at[0] - s, at[1], at[2] - s],
      [at[0] + s, at[1], at[2] - s],
      [at[0] + s, at[1], at[2] + s],
      [at[0] - s, at[1], at[2] + s],
    ];
    corners.forEach((corner, k) => {
      pen.line(corner, corners[(k + 1) % 4]!, color, 1);
    });
  }
  return pen.done();
}

type Trails = ReadonlyMap<number, Float32Array>;

/** Whether two sets of trails are the same lines: they are handed over anew for each frame. */
export function sameTrails(a: Trails, b: Trails): boolean {
  if (a.size !== b.size) return false;
  for (const [token, line] of a) {
    const other = b.get(token);
    if (other?.length !== line.length || line.some((v, i) => v !== other[i])) return false;
  }
  return true;
}

/** Each trail from faint to full: where a point came from, and where it is. */
export function trailLines(points: Trails, factor: number, hues: readonly string[]): Segments {
  const places: number[] = [];
  const tints: number[] = [];
  [...points.values()].forEach((trail, which) => {
    const color = rgb(hues[which % Math.max(1, hues.length)] ?? "#ffffff");
    const steps = trail.length / 3 - 1;
    for (let k = 0; k < steps; k++) {
      for (const end of [k, k + 1]) {
        for (let axis = 0; axis < 3; axis++) places.push(trail[end * 3 + axis]! * factor);
        tints.push(...color, Math.round(40 + (215 * end) / steps));
      }
    }
  });
  return { places: Float32Array.from(places), tints: Uint8Array.from(tints) };
}
