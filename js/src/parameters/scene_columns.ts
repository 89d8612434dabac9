/** From moments and a look to what a cloud of the scene takes: arrays as they are, and how to read them. */

import { mixed, type Palette } from "../paint";
import { columnRange, type Tables } from "./colour";
import { pointsOf, type Shown } from "./flat_cloud";
import { BY_NAME, BY_VALUE, type CloudMoment, NONE } from "./scene_cloud";
import type { ColourBy, Moment } from "./stage";

export interface Ends {
  readonly a: CloudMoment;
  readonly b: CloudMoment;
  /** Row of the colours. */
  readonly row: number;
}

/** The cluster of each point of a moment. */
export type LabelsOf = (moment: Moment) => Uint8Array | null;

type Column = Exclude<ColourBy, "cluster">;
const SAME: readonly [number, number] = [1, 0];

/** How the bytes of one moment's column lie in the range of both. */
function mapOf(a: Moment, b: Moment, own: Moment, by: Column): readonly [number, number] {
  const range = columnRange(a, b, by);
  const reach = own.ranges?.[by];
  if (!range || !reach) return SAME;
  const span = range.high - range.low || 1;
  return [(reach[1] - reach[0]) / span, (reach[0] - range.low) / span];
}

/** The tokens between two moments; where one lacks a column, the other's holds. */
export function tokenEnds(shown: Shown, labelsOf: LabelsOf): Ends | null {
  const pair = pointsOf(shown);
  if (!pair) return null;
  const by = shown.look.colourBy;
  // After a new sample of tokens, the earlier moment has nothing to say of these points.
  const fresh = pair[0] === pair[1] && shown.a !== shown.b;
  const [a, b] = fresh ? [shown.b, shown.b] : [shown.a, shown.b];
  const end = (k: 0 | 1, values: Uint8Array | null, map: readonly [number, number]) => ({
    places: pair[k].points,
    scale: pair[k].scale,
    values,
    weights: [a, b][k]!.frequency ?? [b, a][k]!.frequency,
    map,
  });
  if (by === "cluster") {
    const labels = labelsOf(shown.t < 0.5 && a.tokens ? a : b);
    return { a: end(0, labels, SAME), b: end(1, labels, SAME), row: labels ? BY_NAME : NONE };
  }
  const first = a[by] ? a : b;
  const second = b[by] ? b : a;
  return {
    a: end(0, first[by], mapOf(a, b, first, by)),
    b: end(1, second[by], mapOf(a, b, second, by)),
    row: first[by] ? BY_VALUE : NONE,
  };
}

/** The positions, each coloured by its place in the text: `order` rises from 0 to 255. */
export function positionEnds(shown: Shown, order: (n: number) => Uint8Array): Ends | null {
  const pair = pointsOf(shown, "positions");
  if (!pair) return null;
  const values = order(pair[1].points.length / 3);
  const end = ({ points, scale }: (typeof pair)[number]): CloudMoment => ({
    places: points,
    scale,
    values,
    weights: null,
    map: SAME,
  });
  return { a: end(pair[0]), b: end(pair[1]), row: BY_VALUE };
}

const SAMPLE = 1500;

/** Reach of nearly all points, from an even sample of them: far ones don't shrink the rest. */
export function reachOf(places: Int16Array): number {
  const n = Math.floor(places.length / 3);
  const every = Math.max(1, Math.floor(n / SAMPLE));
  const lengths = new Float32Array(Math.ceil(n / every));
  for (let i = 0, k = 0; i < n; i += every, k++) {
    lengths[k] = Math.hypot(places[3 * i]!, places[3 * i + 1]!, places[3 * i + 2]!);
  }
  lengths.sort();
  return lengths[Math.floor((lengths.length - 1) * 0.99)] ?? 0;
}

function bytes(...rows: readonly Uint32Array[]): Uint8Array {
  const words = new Uint32Array(rows.length * 256);
  rows.forEach((row, k) => {
    for (let i = 0; i < 256; i++) words[k * 256 + i] = row[i % row.length]!;
  });
  return new Uint8Array(words.buffer);
}

/** Colours of a cloud: by value, by cluster, and without either. */
export function cloudColours(tables: Tables, values = tables.point): Uint8Array {
  return bytes(values, tables.clusters, Uint32Array.of(tables.none));
}

/** Colours of the sheets: from 0 up, and to both sides of 0. */
export function sheetColours(tables: Tables): Uint8Array {
  return bytes(tables.heat, tables.signed);
}

/** Stops for the positions, first to last. */
export function positionStops(palette: Palette): string[] {
  return [palette.lr, mixed(palette.lr, palette.eval, 0.5), palette.eval];
}
