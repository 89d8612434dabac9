/**
 * A cloud of points that moves from one moment to the next in the vertex shader.
 * Uploads happen when a moment is another one; in between one number changes.
 */

import { shuffledOrder } from "./lod";
import type { Point } from "./scene_camera";
import { CLOUD_FRAGMENT, CLOUD_VERTEX } from "./scene_shaders";
import {
  type Attribute,
  type Geometry,
  type Material,
  makeTexture,
  type Node3,
  type Numbers,
  RGBA,
  setUniform,
  type Texture,
  type Three,
} from "./scene_three";

/** One moment of a cloud. Arrays are taken as they are and may not change afterwards. */
export interface CloudMoment {
  /** (n, 3) integers; a place is `scale` times them. */
  readonly places: Int16Array;
  readonly scale: number;
  /** (n,) colour, an index into 256; null for all alike. */
  readonly values: Uint8Array | null;
  /** (n,) size; null for all alike. */
  readonly weights: Uint8Array | null;
  /** Takes a value, 0 to 1, to its place among the colours: times the first, plus the second. */
  readonly map: readonly [number, number];
}

/** How a cloud is drawn. */
export interface Brush {
  /** Brings values to the scene's size. */
  readonly factor: number;
  /** Pixels of a thing of size 1 at distance 1. */
  readonly pixels: number;
  /** At most so many points, an even sample. */
  readonly most: number;
  /** Row of the colours. */
  readonly row: number;
}

/** Rows of a cloud's colours: by a value, by the number of a cluster, and without either. */
export const BY_VALUE = 0;
export const BY_NAME = 1;
export const NONE = 2;
const ROWS = 3;

/** Middle of the colours, and middle of the sizes. */
const PLAIN = 128;
/** So many points are drawn in their own size. */
const CROWD = 3000;

/** What the graphics memory holds of one of the two moments. */
class End {
  readonly places: Attribute;
  readonly values: Attribute;
  readonly weights: Attribute;

  constructor(three: Three) {
    this.places = new three.Attribute(new Int16Array(3), 3);
    this.values = new three.Attribute(new Uint8Array(1), 1, true);
    this.weights = new three.Attribute(new Uint8Array(1), 1, true);
  }

  load(moment: CloudMoment, plain: Uint8Array): void {
    put(this.places, moment.places);
    put(this.values, moment.values ?? plain);
    put(this.weights, moment.weights ?? plain);
  }
}

/** Uploads, unless it is what is there already. */
function put(attribute: Attribute, array: Numbers): void {
  if (attribute.array === array) return;
  attribute.setArray(array);
  attribute.needsUpdate = true;
}

export class Cloud {
  readonly node: Node3;
  readonly #three: Three;
  readonly #geometry: Geometry;
  readonly #material: Material;
  readonly #order: Attribute;
  #ends: [End, End];
  #colours: Texture | null = null;
  #plain = new Uint8Array(0);

  constructor(three: Three, at: Point, size: number) {
    this.#three = three;
    this.#geometry = new three.Geometry();
    this.#order = new three.Attribute(new Uint32Array(1), 1);
    this.#geometry.setIndex(this.#order);
    this.#ends = [new End(three), new End(three)];
    const numbers = ["t", "scale", "scale_b", "row", "pixels", "alpha", "glow"];
    const uniforms: Record<string, { value: unknown }> = {
      u_colours: { value: null },
      u_map: { value: [1, 0] },
      u_map_b: { value: [1, 0] },
      u_size: { value: size },
    };
    for (const name of numbers) uniforms[`u_${name}`] = { value: 0 };
    this.#material = new three.Material({
      vertexShader: CLOUD_VERTEX,
      fragmentShader: CLOUD_FRAGMENT,
      uniforms,
      transparent: true,
      premultipliedAlpha: true,
      depthWrite: false,
    });
    this.node = new three.Points(this.#geometry, this.#material);
    this.node.position.set(...at);
    this.node.frustumCulled = false;
    this.node.renderOrder = 2;
    this.#attach();
  }

  /** `ROWS` rows of 256 colours, RGBA; `glow` adds light to light, which paper can't. */
  setColours(colours: Uint8Array, glow: boolean): void {
    this.#colours?.dispose();
    this.#colours = makeTexture(this.#three, colours, 256, ROWS, RGBA);
    setUniform(this.#material, "u_colours", this.#colours);
    setUniform(this.#material, "u_glow", glow ? 1 : 0);
    setUniform(this.#material, "u_alpha", 0.9);
  }

  /** Show between `a` and `b`. */
  show(a: CloudMoment, b: CloudMoment, t: number, how: Brush): void {
    // Played on, what was the end is the beginning: one upload instead of two.
    const [first, second] = this.#ends;
    if (second.places.array === a.places || first.places.array === b.places) {
      this.#ends = [second, first];
      this.#attach();
    }
    const n = Math.min(a.places.length, b.places.length) / 3;
    const plain = this.#plainOf(n);
    this.#ends[0].load(a, plain);
    this.#ends[1].load(b, plain);
    if (this.#order.count !== n) put(this.#order, shuffledOrder(n));
    this.#geometry.setDrawRange(0, Math.min(n, how.most));
    const set = (name: string, value: unknown) => setUniform(this.#material, name, value);
    set("u_t", t);
    set("u_scale", a.scale * how.factor);
    set("u_scale_b", b.scale * how.factor);
    set("u_map", a.map);
    set("u_map_b", b.map);
    set("u_row", (how.row + 0.5) / ROWS);
    // A few points may be large, and many must be small to be told apart.
    const drawn = Math.max(1, Math.min(n, how.most));
    set("u_pixels", how.pixels * Math.min(2.2, Math.max(0.7, (CROWD / drawn) ** (1 / 3))));
  }

  dispose(): void {
    this.#geometry.dispose();
    this.#material.dispose();
    this.#colours?.dispose();
  }

  #attach(): void {
    const [a, b] = this.#ends;
    this.#geometry.addAttribute("position", a.places);
    this.#geometry.addAttribute("position_b", b.places);
    this.#geometry.addAttribute("value", a.values);
    this.#geometry.addAttribute("value_b", b.values);
    this.#geometry.addAttribute("weight", a.weights);
    this.#geometry.addAttribute("weight_b", b.weights);
  }

  #plainOf(n: number): Uint8Array {
    if (this.#plain.length !== n) this.#plain = new Uint8Array(n).fill(PLAIN);
    return this.#plain;
  }
}
