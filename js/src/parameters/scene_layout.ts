/**
 * Where everything stands in the scene. Pure: from the description of a model to places.
 *
 * The tokens are a ball. Beside it, or above it where the stage is narrow, every layer is a floor
 * of a house, first layer at the bottom, and each of its matrices a sheet on that floor; the same
 * role stands in the same column on every floor, so that a column is one part of the model
 * through depth. How far apart the floors are depends on the room that there is.
 */

import { clamp } from "../scale";
import type { Point } from "./scene_camera";
import type { MatrixMeta, ParametersMeta } from "./stage";

/** Side of a sheet, and the room between two. */
export const SIDE = 2.2;
const BETWEEN = 0.5;
const LOWEST_FLOOR = 0.6;
const HIGHEST_FLOOR = 2.6;
/** Radius of the tokens' ball beside the house, and under it; of the positions', a share of it. */
const BESIDE = 5;
const BELOW = 3.6;
const POSITIONS = 0.4;
/** Between ball and house. */
const GAP = 0.6;
const BEHIND = 0.5;
const STOREY = 1.4;

/** CSS pixels: of names left of the floors, and around everything, legends below included. */
const NAMES = 84;
export const MARGIN = { left: 14, right: 14, top: 14, bottom: 34 } as const;
/** Of signs: one letter, and half a line. */
const LETTER = 7.3;
const HALF_LINE = 9;

export interface Size {
  readonly width: number;
  readonly height: number;
}

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
  /** What it names. */
  readonly of: "floor" | "column" | "tokens";
}

export interface Floor {
  readonly key: string;
  readonly label: string;
  readonly layer: number | null;
  readonly height: number;
}

/** A ball, or a point. */
export interface Body {
  readonly at: Point;
  readonly radius: number;
}

export interface Layout {
  readonly tokens: Body;
  readonly positions: Body;
  readonly sheets: readonly Sheet[];
  readonly floors: readonly Floor[];
  readonly signs: readonly Sign[];
  /** Height between two floors. */
  readonly rise: number;
  /** Of the sheets, from left to right. */
  readonly span: readonly [number, number];
  /** From where sheets hardly hide each other nor leave much room between them, radians. */
  readonly pitch: number;
}

/** Which floor a matrix stands on: its layer, or one below or above all layers. */
function floorKey(matrix: MatrixMeta): string {
  if (matrix.layer !== null) return `${matrix.stack}/${matrix.layer}`;
  return matrix.kind === "head" ? "head" : "input";
}

function floorsOf(
  meta: ParametersMeta,
  drawn: readonly MatrixMeta[],
): readonly Omit<Floor, "height">[] {
  const used = new Set(drawn.map(floorKey));
  const layers = meta.layers.map(({ stack, index, label }) => ({
    key: `${stack}/${index}`,
    label,
    layer: index,
  }));
  return [
    { key: "input", label: "embeddings", layer: null },
    ...layers,
    { key: "head", label: "head", layer: null },
  ].filter(({ key }) => used.has(key));
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

/** What is seen of a sheet's depth where the next one begins behind it. */
function seenOf(rise: number): number {
  return (rise * SIDE) / Math.hypot(rise, SIDE);
}

/** The rise of which so much is seen. */
function riseOf(seen: number): number {
  if (seen >= SIDE) return HIGHEST_FLOOR;
  return clamp((seen * SIDE) / Math.sqrt(SIDE ** 2 - seen ** 2), LOWEST_FLOOR, HIGHEST_FLOOR);
}

interface Arrangement {
  readonly beside: boolean;
  readonly radius: number;
  readonly rise: number;
  /** Pixels of a thing of size 1. */
  readonly scale: number;
}

/** Ball and house beside each other, or one above the other: whichever fills more of the stage. */
function arrange(ball: boolean, floors: number, width: number, sheets: number, stage: Size) {
  const across = Math.max(80, stage.width - MARGIN.left - MARGIN.right - NAMES);
  const down = Math.max(80, stage.height - MARGIN.top - MARGIN.bottom - 2 * HALF_LINE);
  const least = floors * seenOf(LOWEST_FLOOR);
  const most = floors * seenOf(HIGHEST_FLOOR);
  const made = (beside: boolean): Arrangement & { filled: number } => {
    const smallest = ball ? (beside ? BESIDE : BELOW) : 0;
    const wide = beside ? 2 * smallest + GAP + width : Math.max(width, 2 * smallest);
    const tall = beside ? Math.max(2 * smallest, least) : 2 * smallest + STOREY + least;
    const scale = Math.min(across / wide, down / tall);
    const room = down / scale;
    // Under a low house the ball takes the room that is left.
    const largest = Math.max(smallest, width / 2);
    const radius = beside ? smallest : clamp((room - STOREY - most) / 2, smallest, largest);
    const above = beside ? 0.94 * room : room - STOREY - 2 * radius;
    const rise = riseOf(above / Math.max(1, floors));
    const filled = scale ** 2 * (Math.PI * radius ** 2 + sheets * SIDE * seenOf(rise));
    return { beside, radius, rise, scale, filled };
  };
  const [beside, above] = [made(true), made(false)];
  return ball && sheets > 0 && above.filled > beside.filled ? above : beside;
}

/** Where everything stands in a stage of this size. */
export function layoutOf(meta: ParametersMeta, stage: Size): Layout {
  const drawn = meta.matrices.filter((matrix) => matrix.heat !== null);
  const storeys = floorsOf(meta, drawn);
  const { column, names } = columnsOf(drawn);
  const columns = Math.max(0, ...[...column.values()].map((c) => c + 1));
  const width = columns === 0 ? 0 : columns * (SIDE + BETWEEN) - BETWEEN;
  const ball = meta.tokens !== null || meta.positions !== null;
  const how = arrange(ball, storeys.length, width, drawn.length, stage);
  const { beside, radius, rise, scale } = how;
  const floors = storeys.map((floor, i) => ({
    ...floor,
    height: (i - (storeys.length - 1) / 2) * rise,
  }));
  // Names of floors stand between ball and house.
  const gap = ball && columns > 0 && beside ? GAP + NAMES / scale : 0;
  const first = beside ? 2 * radius + gap : 0;
  const foot = floors[0]?.height ?? 0;
  const tokens: Body = {
    at: beside ? [radius, 0, 0] : [width / 2, foot - STOREY - radius, 0],
    radius,
  };
  const heights = new Map(floors.map((floor) => [floor.key, floor.height]));
  const sheets = drawn.map((matrix): Sheet => {
    const x = first + column.get(matrix.id)! * (SIDE + BETWEEN) + SIDE / 2;
    const [rows, columns] = matrix.heat!;
    return { matrix: matrix.id, at: [x, heights.get(floorKey(matrix)) ?? 0, 0], rows, columns };
  });
  return {
    tokens,
    positions: positionsOf(tokens, beside),
    sheets,
    floors,
    signs: signsOf(meta, floors, names, tokens, first),
    rise,
    span: [first, first + width],
    pitch: clamp(0.92 * Math.atan(rise / SIDE), 0.3, 0.8),
  };
}

/** Behind the tokens, or beside them where the house is above. */
function positionsOf({ at: [x, y, z], radius }: Body, beside: boolean): Body {
  const own = radius * POSITIONS;
  const at: Point = beside
    ? [x, y + radius - own, z - radius - own]
    : [x - radius - own, y - radius + own, z];
  return { at, radius: own };
}

function signsOf(
  meta: ParametersMeta,
  floors: readonly Floor[],
  names: readonly string[],
  tokens: Body,
  first: number,
): Sign[] {
  const signs: Sign[] = floors.map((floor, rank) => ({
    text: floor.label,
    at: [first - 0.25, floor.height, SIDE / 2],
    align: "right",
    rank,
    quiet: false,
    of: "floor",
  }));
  // Names of columns stand behind the roof, where nothing is in front of them.
  const roof = floors.at(-1)?.height ?? 0;
  const layered = floors.some((floor) => floor.layer !== null);
  for (const [c, text] of layered ? names.entries() : []) {
    const x = first + c * (SIDE + BETWEEN) + SIDE / 2;
    const at: Point = [x, roof, -SIDE / 2 - BEHIND];
    signs.push({ text, at, align: "middle", rank: -1, quiet: true, of: "column" });
  }
  if (meta.tokens) {
    const [x, y, z] = tokens.at;
    const at: Point = [x, y - tokens.radius - BEHIND, z];
    const text = `${meta.tokens.count} of ${meta.tokens.vocabulary} tokens`;
    signs.push({ text, at, align: "middle", rank: -1, quiet: true, of: "tokens" });
  }
  return signs;
}

/** Pixels that a sign takes around its place: left, right, up, down. */
export function roomOf({ text, align }: Sign): readonly [number, number, number, number] {
  const wide = text.length * LETTER;
  const [left, right] = { left: [0, wide], right: [wide, 0], middle: [wide / 2, wide / 2] }[align];
  return [left!, right!, HALF_LINE, HALF_LINE];
}
