/**
 * Colour scales of the Parameters tab, made from the theme's palette, and the ranges they stand for.
 * Sequential scales rise in lightness throughout, and the diverging one goes from blue to orange
 * over a neutral middle: both can be read with any of the common colour vision deficiencies.
 */

import { colorTable, mixed, type Palette, ramp, rgb } from "../paint";
import type { ColourBy, Heat, Moment } from "./stage";

/** What the ends of a colour scale stand for. */
export interface Range {
  readonly low: number;
  readonly high: number;
  /** Whether 0 lies in the middle and the scale goes both ways from it. */
  readonly diverging: boolean;
}

/** From the least to the most. */
export function sequential(palette: Palette): readonly string[] {
  return palette.heat;
}

/** From far below to far above the middle. */
export function diverging(palette: Palette): readonly string[] {
  const cold = palette.hues[6] ?? palette.gauge;
  const warm = palette.hues[1] ?? palette.warn;
  const middle = mixed(palette.panel, palette.readout, 0.1);
  return [cold, mixed(cold, middle, 0.55), middle, mixed(warm, middle, 0.55), warm];
}

/** The sequential scale for points: without the end that the background would swallow. */
export function pointStops(palette: Palette): readonly string[] {
  return Array.from({ length: 6 }, (_, i) => ramp(palette.heat, 0.32 + 0.68 * (i / 5)));
}

/** A colour as a word of an ImageData. */
export function word(color: string): number {
  const [r, g, b] = rgb(color);
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** All words of `table` brought near to `ground`: for what lies below a threshold. */
export function faintTable(stops: readonly string[], ground: string): Uint32Array {
  return colorTable(stops.map((stop) => mixed(ground, stop, 0.16)));
}

/** All tables that a frame needs; made once per theme. */
export interface Tables {
  readonly point: Uint32Array;
  readonly heat: Uint32Array;
  readonly heatFaint: Uint32Array;
  readonly signed: Uint32Array;
  readonly signedFaint: Uint32Array;
  /** One word for each cluster. */
  readonly clusters: Uint32Array;
  /** For what has no value. */
  readonly none: number;
  readonly ground: number;
}

export function tablesOf(palette: Palette): Tables {
  return {
    point: colorTable(pointStops(palette)),
    heat: colorTable(sequential(palette)),
    heatFaint: faintTable(sequential(palette), palette.panel),
    signed: colorTable(diverging(palette)),
    signedFaint: faintTable(diverging(palette), palette.panel),
    clusters: Uint32Array.from(palette.hues, word),
    none: word(mixed(palette.panel, palette.label, 0.7)),
    ground: word(palette.panel),
  };
}

/** The range of one heatmap's cells, which is what its bytes reach, not what they could. */
export function heatRange(heat: Heat): readonly [number, number] {
  let low = 255;
  let high = 0;
  for (const v of heat.data) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (low > high) return [heat.offset, heat.offset];
  return [heat.offset + heat.scale * low, heat.offset + heat.scale * high];
}

/** A range for values from `low` to `high`: with values of both signs, 0 is the middle. */
export function rangeOf(low: number, high: number): Range {
  if (low < 0 && high > 0) {
    const reach = Math.max(-low, high);
    return { low: -reach, high: reach, diverging: true };
  }
  return { low, high, diverging: false };
}

/** The range of a column of bytes over two moments, or null where it isn't known. */
export function columnRange(a: Moment, b: Moment, by: ColourBy): Range | null {
  if (by === "cluster") return null;
  const [p, q] = [a.ranges?.[by], b.ranges?.[by]];
  if (!p || !q) return null;
  return { low: Math.min(p[0], q[0]), high: Math.max(p[1], q[1]), diverging: false };
}

/**
 * A column between two moments as bytes of one scale, into `out`; null where neither has it.
 * Where one of the two lacks it (nothing has moved before the first snapshot), the other's holds.
 */
export function blendColumn(
  a: Moment,
  b: Moment,
  t: number,
  by: Exclude<ColourBy, "cluster">,
  out: Uint8Array,
): Uint8Array | null {
  const first = a[by] ?? b[by];
  const second = b[by] ?? a[by];
  if (!first || !second) return null;
  const range = columnRange(a, b, by);
  const span = range ? range.high - range.low || 1 : 1;
  const map = (moment: Moment): readonly [number, number] => {
    const own = moment.ranges?.[by];
    if (!range || !own) return [0, 1];
    return [((own[0] - range.low) / span) * 255, (own[1] - own[0]) / span];
  };
  const [p, q] = [map(a[by] ? a : b), map(b[by] ? b : a)];
  const n = Math.min(out.length, first.length, second.length);
  const [offset, pa, qb] = [p[0] * (1 - t) + q[0] * t + 0.5, p[1] * (1 - t), q[1] * t];
  for (let i = 0; i < n; i++) out[i] = offset + first[i]! * pa + second[i]! * qb;
  return out;
}
