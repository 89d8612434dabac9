/**
 * The heatmaps of all matrices as sheets: one mesh, one draw, two atlases of tiles.
 * A moment that comes is one upload, however many matrices there are.
 */

import { heatRange, type Range, rangeOf } from "./colour";
import type { Layout } from "./scene_layout";
import { SIDE } from "./scene_layout";
import { PLANES_FRAGMENT, PLANES_VERTEX } from "./scene_shaders";
import {
  type Attribute,
  DOUBLE_SIDE,
  type Geometry,
  LUMINANCE,
  type Material,
  makeTexture,
  type Node3,
  RGBA,
  setUniform,
  type Texture,
  type Three,
} from "./scene_three";
import type { Heat, Look, Moment } from "./stage";

/** Of each sheet, its tile in the atlas. */
interface Tile {
  readonly matrix: number;
  readonly left: number;
  readonly top: number;
  readonly rows: number;
  readonly columns: number;
}

type HeatMaps = Moment["heat"];
type Ends = readonly [number, number];

/** What the graphics memory holds of one of the two moments. */
interface Held {
  maps: HeatMaps | null;
  readonly atlas: Texture;
  /** Factor and offset from a byte, 0 to 1, to a value; least and largest value. */
  readonly bytes: Attribute;
  readonly ends: Attribute;
}

export class Planes {
  readonly node: Node3;
  /** What the colours of all sheets stand for; null where each has its own. */
  range: Range | null = null;
  readonly #three: Three;
  readonly #geometry: Geometry;
  readonly #material: Material;
  readonly #tiles: Tile[];
  readonly #size: [number, number];
  readonly #places: Attribute;
  readonly #shown: Attribute;
  readonly #ranges = new WeakMap<Heat, Ends>();
  #held: [Held, Held];
  #colours: Texture | null = null;
  #visible: ReadonlySet<number> | null = null;

  constructor(three: Three, layout: Layout) {
    this.#three = three;
    const { sheets } = layout;
    const tall = Math.max(1, ...sheets.map((sheet) => sheet.rows));
    const wide = Math.max(1, ...sheets.map((sheet) => sheet.columns));
    const across = Math.max(1, Math.ceil(Math.sqrt(sheets.length)));
    const down = Math.max(1, Math.ceil(sheets.length / across));
    this.#size = [across * wide, down * tall];
    this.#tiles = sheets.map(({ matrix, rows, columns }, i) => ({
      matrix,
      rows,
      columns,
      left: (i % across) * wide,
      top: Math.floor(i / across) * tall,
    }));
    const uvs = new Float32Array(sheets.length * 8);
    const index = new Uint32Array(sheets.length * 6);
    const [width, height] = this.#size;
    sheets.forEach((_, i) => {
      const { left, top, rows, columns } = this.#tiles[i]!;
      const [u, v] = [(left + columns) / width, (top + rows) / height];
      uvs.set([left / width, top / height, u, top / height, left / width, v, u, v], i * 8);
      index.set(
        [0, 2, 1, 1, 2, 3].map((k) => i * 4 + k),
        i * 6,
      );
    });
    this.#geometry = new three.Geometry();
    this.#geometry.setIndex(new three.Attribute(index, 1));
    this.#places = new three.Attribute(new Float32Array(sheets.length * 12), 3);
    this.#geometry.addAttribute("position", this.#places);
    this.arrange(layout);
    this.#geometry.addAttribute("uv", new three.Attribute(uvs, 2));
    this.#shown = new three.Attribute(new Float32Array(sheets.length * 4), 1);
    this.#geometry.addAttribute("shown", this.#shown);
    this.#held = [this.#empty(), this.#empty()];
    this.#material = new three.Material({
      vertexShader: PLANES_VERTEX,
      fragmentShader: PLANES_FRAGMENT,
      side: DOUBLE_SIDE,
      uniforms: {
        u_tiles: { value: null },
        u_tiles_b: { value: null },
        u_colours: { value: null },
        u_t: { value: 0 },
        u_threshold: { value: 0 },
        u_shared: { value: [0, 0, 0] },
        u_ground: { value: [0, 0, 0] },
      },
    });
    this.node = new three.Mesh(this.#geometry, this.#material);
    this.node.frustumCulled = false;
    this.#attach();
  }

  /** The same sheets in other places. */
  arrange({ sheets }: Layout): void {
    const s = SIDE / 2;
    sheets.forEach(({ at: [x, y, z] }, i) => {
      // The first row is at the back, the first column on the left.
      const corners = [x - s, y, z - s, x + s, y, z - s, x - s, y, z + s, x + s, y, z + s];
      this.#places.array.set(corners, i * 12);
    });
    this.#places.needsUpdate = true;
  }

  /** Two rows of 256 colours, RGBA: for values from 0 up, and for both signs. */
  setColours(colours: Uint8Array, ground: readonly number[]): void {
    this.#colours?.dispose();
    this.#colours = makeTexture(this.#three, colours, 256, 2, RGBA);
    setUniform(this.#material, "u_colours", this.#colours);
    setUniform(this.#material, "u_ground", ground);
  }

  show(a: HeatMaps, b: HeatMaps, t: number, look: Look): void {
    if (this.#held[1].maps === a || this.#held[0].maps === b) {
      this.#held = [this.#held[1], this.#held[0]];
      this.#attach();
    }
    this.#load(this.#held[0], a, b);
    this.#load(this.#held[1], b, a);
    setUniform(this.#material, "u_t", t);
    setUniform(this.#material, "u_threshold", look.threshold);
    const shared = look.shared ? this.#range(a, b, t, look.visible) : null;
    this.range = shared && rangeOf(...shared);
    setUniform(this.#material, "u_shared", shared ? [...shared, 1] : [0, 0, 0]);
    if (this.#visible !== look.visible) this.#choose(look.visible);
  }

  dispose(): void {
    this.#geometry.dispose();
    this.#material.dispose();
    for (const { atlas } of this.#held) atlas.dispose();
    this.#colours?.dispose();
  }

  #empty(): Held {
    const [width, height] = this.#size;
    const pairs = () => new this.#three.Attribute(new Float32Array(this.#tiles.length * 8), 2);
    return {
      maps: null,
      atlas: makeTexture(this.#three, new Uint8Array(width * height), width, height, LUMINANCE),
      bytes: pairs(),
      ends: pairs(),
    };
  }

  #attach(): void {
    const [a, b] = this.#held;
    setUniform(this.#material, "u_tiles", a.atlas);
    setUniform(this.#material, "u_tiles_b", b.atlas);
    this.#geometry.addAttribute("bytes", a.bytes);
    this.#geometry.addAttribute("bytes_b", b.bytes);
    this.#geometry.addAttribute("ends", a.ends);
    this.#geometry.addAttribute("ends_b", b.ends);
  }

  /** Upload `maps`; a matrix that they lack is as in `other`. */
  #load(held: Held, maps: HeatMaps, other: HeatMaps): void {
    if (held.maps === maps) return;
    held.maps = maps;
    const { image } = held.atlas;
    this.#tiles.forEach(({ matrix, left, top, rows, columns }, sheet) => {
      const heat = maps.get(matrix) ?? other.get(matrix);
      if (!heat) return;
      for (let row = 0; row < Math.min(rows, heat.rows); row++) {
        const from = row * heat.columns;
        const line = heat.data.subarray(from, from + Math.min(columns, heat.columns));
        image.data.set(line, (top + row) * image.width + left);
      }
      fill(held.bytes, sheet, [255 * heat.scale, heat.offset]);
      fill(held.ends, sheet, this.#ends(heat));
    });
    held.atlas.needsUpdate = true;
    held.bytes.needsUpdate = true;
    held.ends.needsUpdate = true;
  }

  #ends(heat: Heat): Ends {
    const known = this.#ranges.get(heat) ?? heatRange(heat);
    this.#ranges.set(heat, known);
    return known;
  }

  /** The range of all that is seen. */
  #range(a: HeatMaps, b: HeatMaps, t: number, visible: ReadonlySet<number>): Ends {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const { matrix } of this.#tiles) {
      const [p, q] = [a.get(matrix) ?? b.get(matrix), b.get(matrix) ?? a.get(matrix)];
      if (!p || !q || !visible.has(matrix)) continue;
      const [from, to] = [this.#ends(p), this.#ends(q)];
      low = Math.min(low, from[0] + (to[0] - from[0]) * t);
      high = Math.max(high, from[1] + (to[1] - from[1]) * t);
    }
    return low <= high ? [low, high] : [0, 0];
  }

  #choose(visible: ReadonlySet<number>): void {
    this.#visible = visible;
    this.#tiles.forEach(({ matrix }, sheet) => {
      this.#shown.array.fill(visible.has(matrix) ? 1 : 0, sheet * 4, sheet * 4 + 4);
    });
    this.#shown.needsUpdate = true;
  }
}

/** The same pair for all four corners of a sheet. */
function fill({ array }: Attribute, sheet: number, pair: Ends): void {
  for (let k = 0; k < 4; k++) array.set(pair, sheet * 8 + k * 2);
}
