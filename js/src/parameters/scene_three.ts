/**
 * The part of three.js r97 that pythreejs 2.4.2 bundles and the scene uses, as types.
 * Its classes are never imported: `scene_kit.ts` takes them from objects that pythreejs made.
 */

export type Numbers = Float32Array | Int16Array | Uint8Array | Uint16Array | Uint32Array;

export interface Attribute {
  readonly count: number;
  array: Numbers;
  needsUpdate: boolean;
  /** Takes the array as it is, of any length: nothing is copied. */
  setArray(array: Numbers): void;
}

export interface Geometry {
  attributes: Record<string, Attribute | undefined>;
  addAttribute(name: string, attribute: Attribute): void;
  setIndex(index: Attribute): void;
  setDrawRange(start: number, count: number): void;
  dispose(): void;
}

export interface Texture {
  image: { data: Uint8Array; width: number; height: number };
  needsUpdate: boolean;
  dispose(): void;
}

export interface Material {
  uniforms: Record<string, { value: unknown }>;
  dispose(): void;
}

export interface Node3 {
  visible: boolean;
  frustumCulled: boolean;
  renderOrder: number;
  parent: Node3 | null;
  position: { set(x: number, y: number, z: number): void };
  add(child: Node3): void;
  remove(child: Node3): void;
}

export interface Camera {
  position: { set(x: number, y: number, z: number): void };
  aspect: number;
  fov: number;
  near: number;
  far: number;
  matrixWorldInverse: { elements: ArrayLike<number> };
  projectionMatrix: { elements: ArrayLike<number> };
  clone(): Camera;
  lookAt(x: number, y: number, z: number): void;
  updateProjectionMatrix(): void;
  updateMatrixWorld(force?: boolean): void;
}

export interface Background {
  background: { set(color: string): void } | null;
}

export interface WebGLRenderer {
  readonly domElement: HTMLCanvasElement;
  setPixelRatio(ratio: number): void;
  setSize(width: number, height: number): void;
  /** What was drawn last, by scene and camera. */
  readonly renderLists?: { dispose(): void };
}

type Drawn = new (geometry: Geometry, material: Material) => Node3;

/** Classes of three.js, found on live objects. */
export interface Three {
  readonly Group: new () => Node3;
  readonly Points: Drawn;
  readonly Mesh: Drawn;
  readonly Lines: Drawn;
  readonly Geometry: new () => Geometry;
  readonly Attribute: new (array: Numbers, size: number, normalized?: boolean) => Attribute;
  readonly Material: new (options: object) => Material;
  readonly Texture: new (
    data: Uint8Array,
    width: number,
    height: number,
    format: number,
    type: number,
    mapping: number,
    wrapS: number,
    wrapT: number,
    magnify: number,
    minify: number,
  ) => Texture;
}

/** three.js' constants, as numbers: r97 exports them from a module that is not ours to import. */
export const DOUBLE_SIDE = 2;
export const LUMINANCE = 1024;
export const RGBA = 1023;
const UNSIGNED_BYTE = 1009;
const UV_MAPPING = 300;
const CLAMP = 1001;
const NEAREST = 1003;
const LINEAR = 1006;

/** A texture of bytes, without mipmaps, so that any size will do in WebGL 1 too. */
export function makeTexture(
  three: Three,
  data: Uint8Array,
  width: number,
  height: number,
  format: number,
  smooth = false,
): Texture {
  const filter = smooth ? LINEAR : NEAREST;
  const texture = new three.Texture(
    data,
    width,
    height,
    format,
    UNSIGNED_BYTE,
    UV_MAPPING,
    CLAMP,
    CLAMP,
    filter,
    filter,
  );
  texture.needsUpdate = true;
  return texture;
}

/** Set one uniform, which the material must have. */
export function setUniform(material: Material, name: string, value: unknown): void {
  material.uniforms[name]!.value = value;
}
