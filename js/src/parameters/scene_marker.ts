/** A ring around the selected token. */

import { rgb } from "../paint";
import type { Point } from "./scene_camera";
import { MARKER_FRAGMENT, MARKER_VERTEX } from "./scene_shaders";
import { type Geometry, type Material, type Node3, setUniform, type Three } from "./scene_three";

const PIXELS = 22;

export class Marker {
  readonly node: Node3;
  readonly #geometry: Geometry;
  readonly #material: Material;

  constructor(three: Three) {
    this.#geometry = new three.Geometry();
    this.#geometry.addAttribute("position", new three.Attribute(new Float32Array(3), 3));
    this.#material = new three.Material({
      vertexShader: MARKER_VERTEX,
      fragmentShader: MARKER_FRAGMENT,
      transparent: true,
      depthTest: false,
      depthWrite: false,
      uniforms: { u_pixels: { value: PIXELS }, u_colour: { value: [1, 1, 1] } },
    });
    this.node = new three.Points(this.#geometry, this.#material);
    this.node.frustumCulled = false;
    this.node.renderOrder = 3;
  }

  place(at: Point | null, color: string, ratio: number): void {
    this.node.visible = at !== null;
    if (!at) return;
    this.node.position.set(...at);
    setUniform(this.#material, "u_pixels", PIXELS * ratio);
    setUniform(
      this.#material,
      "u_colour",
      rgb(color).map((part) => part / 255),
    );
  }

  dispose(): void {
    this.#geometry.dispose();
    this.#material.dispose();
  }
}
