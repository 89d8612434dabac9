/**
 * Where everything stands in the scene. Pure: from the description of a model to places.
 *
 * The tokens are a ball on the left. On the right every layer is a floor of a house, first
 * layer at the bottom, and each of its matrices a sheet on that floor; the same role stands
 * in the same column on every floor, so that a column is one part of the model through depth.
 */

import type { Point, Pose } from "./scene_camera";
import type { MatrixMeta, ParametersMeta } from "./stage";

/** Radius of the tokens' ball. */
export const RADIUS = 5;
export const POSITIONS_RADIUS = 2;
/** Side of a sheet, and the room between two. */
export const SIDE = 2.2;
const BETWEEN = 0.5;
const GAP = 2.5;
const SIGN = 1.4;
const LOWEST_FLOOR = 0.6;
const HIGHEST_FLOOR = 1.8;

export interface Sheet {
  readonly matrix: number;
  /** Its middle; it lies flat. */
  readonly at: Point;
  readonly rows: number;
  readonly columns: number;
}

export interface Sign {
  readonly text: string;
  readonly at: Point;
  /** Side of the place that the text stands on. */
  readonly align: "left" | "right" | "middle";
  /** Among signs that may be thinned out, its number; -1 for one that always stays. */
  readonly rank: number;
  readonly quiet: boolean;
}

export interface Floor {
  readonly key: string;
  readonly label: string;
  readonly layer: number | null;
  readonly height: number;
}

export interface Layout {
  readonly tokens: Point;
  readonly positions: Point;
  readonly sheets: readonly Sheet[];
  readonly floors: readonly Floor[];
  readonly signs: readonly Sign[];
  /** Height between two floors. */
  readonly rise: number;
  /** Of the sheets, from left to right. */
  readonly span: readonly [number, number];
  /** Of all of it. */
  readonly width: number;
  readonly height: number;
}

/** Which floor a matrix stands on: its layer, or one below or above all layers. */
function floorKey(matrix: MatrixMeta): string {
  if (matrix.layer !== null) return `${matrix.stack}/${matrix.layer}`;
  return matrix.kind === "head" ? "head" : "input";
}

function floorsOf(meta: ParametersMeta, drawn: readonly MatrixMeta[]): Floor[] {
  const used = new Set(drawn.map(floorKey));
  const layers = meta.layers.map(({ stack, index, label }) => ({
    key: `${stack}/${index}`,
    label,
    layer: index,
  }));
  const all = [
    { key: "input", label: "embeddings", layer: null },
    ...layers,
    { key: "head", label: "head", layer: null },
  ].filter(({ key }) => used.has(key));
  const rise = Math.min(
    HIGHEST_FLOOR,
    Math.max(LOWEST_FLOOR, (2 * RADIUS) / Math.max(1, all.length)),
  );
  return all.map((floor, i) => ({ ...floor, height: (i - (all.length - 1) / 2) * rise }));
}

/** Column of each matrix; the n-th of a role on one floor has a column of its own. */
function columnsOf(drawn: readonly MatrixMeta[]): { column: Map<number, number>; names: string[] } {
  const column = new Map<number, number>();
  const places = new Map<string, number>();
  const names: string[] = [];
  const counts = new Map<string, number>();
  const outside = new Map<string, number>();
  for (const matrix of drawn) {
    const floor = floorKey(matrix);
    if (matrix.layer === null) {
      // What belongs to no layer stands side by side, in columns that others name.
      const n = outside.get(floor) ?? 0;
      outside.set(floor, n + 1);
      column.set(matrix.id, n);
      continue;
    }
    const role = `${matrix.kind}/${matrix.role}`;
    const n = counts.get(`${floor}/${role}`) ?? 0;
    counts.set(`${floor}/${role}`, n + 1);
    const key = `${role}/${n}`;
    if (!places.has(key)) {
      places.set(key, places.size);
      names.push(n === 0 ? matrix.role || matrix.kind : `${matrix.role} ${n + 1}`);
    }
    column.set(matrix.id, places.get(key)!);
  }
  return { column, names };
}

export function layoutOf(meta: ParametersMeta): Layout {
  const drawn = meta.matrices.filter((matrix) => matrix.heat !== null);
  const floors = floorsOf(meta, drawn);
  const rise = floors.length > 1 ? floors[1]!.height - floors[0]!.height : HIGHEST_FLOOR;
  const { column, names } = columnsOf(drawn);
  const width = Math.max(1, ...[...column.values()].map((c) => c + 1)) * (SIDE + BETWEEN) - BETWEEN;
  const ball = meta.tokens || meta.positions ? 2 * RADIUS + GAP : 0;
  const total = ball + (drawn.length ? width : 0);
  const left = -total / 2;
  const tokens: Point = [left + RADIUS, 0, 0];
  const first = left + ball;
  const heights = new Map(floors.map((floor) => [floor.key, floor.height]));
  const sheets = drawn.map((matrix): Sheet => {
    const x = first + column.get(matrix.id)! * (SIDE + BETWEEN) + SIDE / 2;
    const [rows, columns] = matrix.heat!;
    return { matrix: matrix.id, at: [x, heights.get(floorKey(matrix)) ?? 0, 0], rows, columns };
  });
  const signs: Sign[] = floors.map((floor, rank) => ({
    text: floor.label,
    at: [first - 0.25, floor.height, SIDE / 2],
    align: "right",
    rank,
    quiet: false,
  }));
  const inner = floors.find((floor) => floor.layer !== null);
  for (const [c, text] of inner ? names.entries() : []) {
    const x = first + c * (SIDE + BETWEEN) + SIDE / 2;
    const at: Point = [x, inner!.height - rise * 0.1, SIDE / 2 + 0.2];
    signs.push({ text, at, align: "middle", rank: -1, quiet: true });
  }
  if (meta.tokens) {
    const at: Point = [tokens[0], -RADIUS - 0.6, 0];
    const text = `${meta.tokens.count} of ${meta.tokens.vocabulary} tokens`;
    signs.push({ text, at, align: "middle", rank: -1, quiet: true });
  }
  return {
    tokens,
    positions: [tokens[0], RADIUS - POSITIONS_RADIUS, -RADIUS - POSITIONS_RADIUS],
    sheets,
    floors,
    signs,
    rise,
    span: [first, first + width],
    width: total,
    height: Math.max(ball ? 2 * RADIUS : 0, floors.length * rise),
  };
}

/** All of it in view: `fov` in degrees from top to bottom, `aspect` is width by height. */
export function homeOf(layout: Layout, fov: number, aspect: number): Pose {
  const half = Math.tan((fov * Math.PI) / 360);
  const across = layout.width / 2 / (half * aspect);
  const up = layout.height / 2 / half;
  // What is nearest looks largest, and signs stand beside it.
  const distance = Math.max(across, up) * 1.08 + SIDE;
  return { target: [0, -0.04 * layout.height, 0], yaw: 0, pitch: 0.46, distance };
}

/** Where to look at one layer from. */
export function poseOfLayer(
  layout: Layout,
  layer: number,
  fov: number,
  aspect: number,
): Pose | null {
  const floor = layout.floors.find((f) => f.layer === layer);
  if (!floor) return null;
  const [left, right] = layout.span;
  const half = Math.tan((fov * Math.PI) / 360);
  // Room for the floor's name on the left.
  const width = right - left + 2 * SIGN;
  const target: Point = [(left + right - SIGN) / 2, floor.height, 0];
  const distance = Math.max(width / 2 / (half * aspect), SIDE / half) + SIDE;
  return { target, yaw: 0, pitch: 0.8, distance };
}

/** Sheets of higher floors than a layer's: they hide it from above. */
export function above(layout: Layout, layer: number): ReadonlySet<number> {
  const floor = layout.floors.find((f) => f.layer === layer);
  const height = floor?.height ?? Number.POSITIVE_INFINITY;
  return new Set(layout.sheets.filter(({ at }) => at[1] > height + 1e-6).map((s) => s.matrix));
}

export function poseOfToken(at: Point, from: Pose): Pose {
  return { target: at, yaw: from.yaw, pitch: from.pitch, distance: 4 };
}
