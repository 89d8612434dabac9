/** As much of three.js and of pythreejs' models as the scene touches, with nothing drawn. */

import type { Palette } from "../../src/paint";
import type { Kit, RendererView } from "../../src/parameters/scene_kit";
import type { Three } from "../../src/parameters/scene_three";

class Node3 {
  visible = true;
  frustumCulled = true;
  renderOrder = 0;
  name = "";
  parent: Node3 | null = null;
  readonly children: Node3[] = [];
  at = [0, 0, 0];
  readonly position = { set: (...at: number[]) => Object.assign(this, { at }) };
  add(child: Node3) {
    child.parent = this;
    this.children.push(child);
  }
  remove(child: Node3) {
    child.parent = null;
    this.children.splice(this.children.indexOf(child), 1);
  }
}

class Drawn extends Node3 {
  constructor(
    readonly geometry: FakeGeometry,
    readonly material: FakeMaterial,
  ) {
    super();
  }
}

export class FakeAttribute {
  needsUpdate = false;
  constructor(
    public array: { length: number },
    readonly size: number,
  ) {}
  get count() {
    return this.array.length / this.size;
  }
  setArray(array: { length: number }) {
    this.array = array;
  }
}

let disposed = 0;
/** How many things were given back since the last call. */
export function takeDisposed(): number {
  const n = disposed;
  disposed = 0;
  return n;
}

class Disposable {
  dispose() {
    disposed++;
  }
}

export class FakeGeometry extends Disposable {
  attributes: Record<string, FakeAttribute> = {};
  index: FakeAttribute | null = null;
  drawn = 0;
  addAttribute(name: string, attribute: FakeAttribute) {
    this.attributes[name] = attribute;
  }
  setIndex(index: FakeAttribute) {
    this.index = index;
  }
  setDrawRange(_start: number, count: number) {
    this.drawn = count;
  }
}

export class FakeMaterial extends Disposable {
  uniforms: Record<string, { value: unknown }> = {};
  constructor(options: object) {
    super();
    Object.assign(this, options);
  }
}

class FakeTexture extends Disposable {
  needsUpdate = false;
  readonly image: object;
  constructor(data: Uint8Array, width: number, height: number) {
    super();
    this.image = { data, width, height };
  }
}

export const THREE = {
  Group: Node3,
  Points: Drawn,
  Mesh: class extends Drawn {},
  Lines: class extends Drawn {},
  Geometry: FakeGeometry,
  Attribute: FakeAttribute,
  Material: FakeMaterial,
  Texture: FakeTexture,
} as unknown as Three;

export const PALETTE = {
  bg: "#0a0e1a",
  panel: "#0d1420",
  border: "#1a3a4a",
  readout: "#e0e0e0",
  label: "#8296a8",
  lr: "#00ffff",
  eval: "#ff00ff",
  gauge: "#00ffff",
  warn: "#ffaa00",
  glow: 6,
  font: "11px monospace",
  hues: ["#00ffff", "#ff8c1a"],
  heat: ["#101a2b", "#19c9a4", "#fdfb9c"],
} as unknown as Palette;

export class FakeView {
  readonly el = document.createElement("div");
  readonly canvas = document.createElement("canvas");
  readonly set: [string, unknown][] = [];
  readonly model = {
    get: () => true,
    set: (name: string, value: unknown) => this.set.push([name, value]),
  };
  sizes: number[][] = [];
  renderer: object | null = {
    domElement: this.canvas,
    setPixelRatio: () => {},
    setSize: (...size: number[]) => this.sizes.push(size),
  };
  isFrozen = false;
  _ticking = false;
  debug: (text: string) => void = () => {};
  stopListening() {}
  camera: unknown = null;
  renders = 0;
  removed = 0;
  tock() {}
  renderScene() {
    this.renders++;
  }
  trigger() {}
  remove() {
    this.removed++;
  }
}

export class FakeCamera {
  readonly position = { set: () => {} };
  aspect = 1;
  fov = 40;
  near = 1;
  far = 10;
  readonly matrixWorldInverse = { elements: new Float32Array(16) };
  readonly projectionMatrix = { elements: new Float32Array(16) };
  clone() {
    return new FakeCamera();
  }
  lookAt() {}
  updateProjectionMatrix() {}
  updateMatrixWorld() {}
}

export function fakeKit(view = new FakeView(), scene = new Node3()): Kit {
  return {
    three: THREE,
    view: view as unknown as RendererView,
    scene: Object.assign(scene, { background: { set: () => {} } }) as unknown as Kit["scene"],
    camera: new FakeCamera() as unknown as Kit["camera"],
    software: true,
    palette: () => PALETTE,
  };
}

export { Node3 };
