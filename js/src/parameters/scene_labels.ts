/** Signs in the scene: text from a canvas on squares that face the viewer, all in one draw. */

import { h } from "../view";
import type { Sign } from "./scene_layout";
import { LABELS_FRAGMENT, LABELS_VERTEX } from "./scene_shaders";
import {
  type Attribute,
  type Geometry,
  type Material,
  makeTexture,
  type Node3,
  RGBA,
  setUniform,
  type Texture,
  type Three,
} from "./scene_three";

const SIZE = 12;
const LINE = 18;
const WIDEST = 220;
/** Two signs one above the other need so many pixels. */
const ROOM = 15;

export interface Inks {
  readonly loud: string;
  readonly quiet: string;
  readonly font: string;
}

export class Labels {
  readonly node: Node3;
  readonly #three: Three;
  readonly #geometry: Geometry;
  readonly #material: Material;
  readonly #places: Attribute;
  readonly #signs: readonly Sign[];
  #text: Texture | null = null;

  constructor(three: Three, signs: readonly Sign[]) {
    this.#three = three;
    this.#signs = signs;
    this.#geometry = new three.Geometry();
    const ranks = new Float32Array(signs.length * 4);
    const index = new Uint16Array(signs.length * 6);
    signs.forEach(({ rank }, i) => {
      ranks.fill(rank, i * 4, i * 4 + 4);
      index.set(
        [0, 2, 1, 1, 2, 3].map((k) => i * 4 + k),
        i * 6,
      );
    });
    this.#geometry.setIndex(new three.Attribute(index, 1));
    this.#places = new three.Attribute(new Float32Array(signs.length * 12), 3);
    this.#geometry.addAttribute("position", this.#places);
    this.arrange(signs);
    this.#geometry.addAttribute("rank", new three.Attribute(ranks, 1));
    this.#material = new three.Material({
      vertexShader: LABELS_VERTEX,
      fragmentShader: LABELS_FRAGMENT,
      transparent: true,
      depthTest: false,
      depthWrite: false,
      side: 2,
      uniforms: {
        u_text: { value: null },
        u_view: { value: [1, 1] },
        u_every: { value: 1 },
      },
    });
    this.node = new three.Mesh(this.#geometry, this.#material);
    this.node.frustumCulled = false;
    this.node.renderOrder = 4;
  }

  /** The same signs in other places. */
  arrange(signs: readonly Sign[]): void {
    signs.forEach(({ at }, i) => {
      for (let k = 0; k < 4; k++) this.#places.array.set(at, i * 12 + k * 3);
    });
    this.#places.needsUpdate = true;
  }

  /** Write the texts in the colours of a theme. */
  write(inks: Inks): void {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const canvas = h("canvas");
    canvas.width = Math.ceil(WIDEST * ratio);
    canvas.height = Math.max(1, Math.ceil(this.#signs.length * LINE * ratio));
    const ctx = canvas.getContext("2d");
    if (!ctx) return;
    ctx.scale(ratio, ratio);
    ctx.font = inks.font.replace(/^\d+px/, `${SIZE}px`);
    ctx.textBaseline = "middle";
    const corners = new Float32Array(this.#signs.length * 8);
    const uvs = new Float32Array(this.#signs.length * 8);
    const [width, height] = [WIDEST, canvas.height / ratio];
    this.#signs.forEach(({ text, align, quiet }, i) => {
      ctx.fillStyle = quiet ? inks.quiet : inks.loud;
      ctx.fillText(text, 1, i * LINE + LINE / 2, WIDEST - 2);
      const w = Math.min(WIDEST, Math.ceil(ctx.measureText(text).width) + 2);
      const left = align === "left" ? 0 : align === "right" ? -w : -w / 2;
      const [up, down] = [LINE / 2, -LINE / 2];
      corners.set([left, up, left + w, up, left, down, left + w, down], i * 8);
      const [u, v, v2] = [w / width, (i * LINE) / height, ((i + 1) * LINE) / height];
      uvs.set([0, v, u, v, 0, v2, u, v2], i * 8);
    });
    const image = ctx.getImageData(0, 0, canvas.width, canvas.height);
    this.#text?.dispose();
    const bytes = new Uint8Array(image.data.buffer);
    this.#text = makeTexture(this.#three, bytes, canvas.width, canvas.height, RGBA, true);
    setUniform(this.#material, "u_text", this.#text);
    this.#geometry.addAttribute("corner", new this.#three.Attribute(corners, 2));
    this.#geometry.addAttribute("uv", new this.#three.Attribute(uvs, 2));
  }

  /** `rise`: pixels between two signs of neighbouring ranks. */
  place(width: number, height: number, rise: number): void {
    setUniform(this.#material, "u_view", [width, height]);
    setUniform(this.#material, "u_every", Math.max(1, Math.ceil(ROOM / Math.max(0.5, rise))));
  }

  dispose(): void {
    this.#geometry.dispose();
    this.#material.dispose();
    this.#text?.dispose();
  }
}
