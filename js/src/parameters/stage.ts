// What the Parameters tab draws on, whichever way it is drawn: a flat 2-D canvas, or pythreejs' scene.
// The caller owns time (which two moments, how far between them) and filters; a stage owns only pixels and its own camera.

import type { FrameLoop } from "../frame";
import type { Palette } from "../paint";
import type { Viewpoint } from "../ui";

/** The kinds of parameter a matrix can be of. */
export type Kind =
  | "embedding"
  | "position"
  | "attention"
  | "mlp"
  | "norm"
  | "head"
  | "lora"
  | "expert"
  | "convolution"
  | "other";

/** One parameter tensor of the model; `heat` is the size of its pooled picture, or null where it has none. */
export interface MatrixMeta {
  id: number;
  name: string;
  label: string;
  kind: Kind;
  role: string;
  layer: number | null;
  stack: string;
  shape: number[];
  heat: [number, number] | null;
}

/** The sampled tokens, all columns in the order of the points. */
export interface TokensMeta {
  key: string;
  count: number;
  vocabulary: number;
  width: number;
  ids: number[];
  texts: string[];
  strata: number[];
  strata_names: string[];
  tied: boolean;
}

export interface PositionsMeta {
  key: string;
  count: number;
  total: number;
  width: number;
}

export interface LayerMeta {
  index: number;
  stack: string;
  label: string;
}

/** The statistics of a matrix, in the order of a row of `Moment.stats`. */
export const STATISTICS = [
  "mean",
  "std",
  "min",
  "max",
  "l2",
  "sparsity",
  "grad_l2",
  "grad_max",
  "change_l2",
  "change_max",
] as const;
export type StatisticName = (typeof STATISTICS)[number];

/** The JSON of the tensor `parameters/meta`. */
export interface ParametersMeta {
  version: number;
  model: string;
  tokens: TokensMeta | null;
  positions: PositionsMeta | null;
  matrices: MatrixMeta[];
  layers: LayerMeta[];
  kinds: Kind[];
  statistics: StatisticName[];
  units: Record<string, string>;
  heat_of: "rms" | "max";
  /** What could not be read, and why. */
  absent: Record<string, string>;
}

/** One pooled picture of a matrix, row by row: value = offset + scale * data. */
export interface Heat {
  data: Uint8Array;
  rows: number;
  columns: number;
  scale: number;
  offset: number;
}

/** One snapshot, decoded but still quantised. */
export interface Moment {
  step: number;
  /** (n, 3) coordinates in the live basis: value = scale * stored. */
  tokens: Int16Array | null;
  scale: number;
  norm: Uint8Array | null;
  moved: Uint8Array | null;
  /** As `moved`, since the run's first snapshot. */
  since: Uint8Array | null;
  frequency: Uint8Array | null;
  cluster: Uint8Array | null;
  /** How clusters were found, and the tokens that name each, where the kernel found them. */
  groups?: { readonly method: string; readonly nearest: readonly (readonly number[])[] };
  /** (m, 3) coordinates of the position embeddings: value = positionScale * stored. */
  positions: Int16Array | null;
  positionScale: number;
  /** What the bytes 0 and 255 of a column stand for; without it a legend can only say low and high. */
  ranges?: {
    readonly [column in "norm" | "moved" | "since" | "frequency"]?: readonly [number, number];
  };
  /** By matrix id. */
  heat: ReadonlyMap<number, Heat>;
  /** (matrices, 10), NaN where unknown. */
  stats: Float32Array;
}

export type ColourBy = "norm" | "cluster" | "moved" | "since" | "frequency";

/** How to draw: everything the controls decide. */
export interface Look {
  colourBy: ColourBy;
  /** One colour range for all heatmaps, or each its own. */
  shared: boolean;
  /** Ids of the matrices shown. */
  visible: ReadonlySet<number>;
  /** Cells below this value are drawn faint. */
  threshold: number;
  showTokens: boolean;
  showPositions: boolean;
  /** Indices of the points whose trails are drawn. */
  trails: readonly number[];
  selected: number | null;
}

export type Picked =
  | { kind: "token"; index: number }
  | { kind: "plane"; matrix: number; row: number; column: number };

export type FlyTarget = { token: number } | { layer: number } | "reset";

export interface Stage {
  readonly name: "flat" | "scene";
  /** Why this one is used, "" by choice. */
  readonly why: string;
  setMeta(meta: ParametersMeta): void;
  /** Draw between `a` and `b`, `t` in [0, 1]. */
  frame(a: Moment, b: Moment, t: number, look: Look): void;
  /** Polylines over the snapshots, xyz after xyz in the units of `Moment.tokens` times its scale. */
  setTrails(points: ReadonlyMap<number, Float32Array>): void;
  /** What lies at this place, in CSS pixels from the stage's top left corner. */
  pick(x: number, y: number): Picked | null;
  flyTo(target: FlyTarget): void;
  /** Be where the viewer of another run stands: at once, each time that they move. */
  stand(view: Viewpoint): void;
  resize(width: number, height: number): void;
  dispose(): void;
}

/** What a stage is made with. */
export interface StageOptions {
  /** The box to fill; it has a size of its own and may have anything else in it. */
  readonly el: HTMLElement;
  /** Colours of the present theme; the caller calls `frame` again when they change. */
  readonly palette: () => Palette;
  /** For what moves by itself: the camera under the pointer and on its flights. */
  readonly loop: FrameLoop;
  /** Ends everything, as `dispose` does. */
  readonly signal: AbortSignal;
  /** Why this stage is used and not the other, "" by choice. */
  readonly why: string;
  /** What the pointer is over, with its place in the stage; null when over nothing. */
  readonly hovered: (picked: Picked | null, x: number, y: number) => void;
  /** The viewer has moved, or is flying: not said of `stand`. */
  readonly turned: (view: Viewpoint) => void;
  /** What was clicked or chosen by key; null for a click on nothing. A drag is no click. */
  readonly chosen: (picked: Picked | null) => void;
}

/** How each stage is made: `flat.ts` exports one, `scene.ts` another (which may fail, and says why). */
export type MakeStage = (options: StageOptions) => Stage;
