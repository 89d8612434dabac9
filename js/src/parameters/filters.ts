/**
 * Which matrices are shown: by layer, by kind, by how much they changed. Pure: knows no drawing.
 * What belongs to no layer (embeddings, the head, the last norm) goes by its kind alone.
 */

import { clamp } from "../scale";
import type { Heat, Kind, MatrixMeta, Moment, ParametersMeta, StatisticName } from "./stage";

export type Depth = "early" | "middle" | "late";
export type Preset = "all" | "none" | Depth;
export const PRESETS: readonly Preset[] = ["all", "none", "early", "middle", "late"];
/** How many matrices "most changed" may leave; 0 for all. */
export const TOPS = [0, 3, 6, 12, 24] as const;

export interface Filters {
  /** Layers that are left out, by `layerName`. */
  hidden: ReadonlySet<string>;
  /** Kinds that are left out. */
  without: ReadonlySet<Kind>;
  /** Only so many, those that changed most; 0 for all. */
  top: number;
  /** Share of the greatest value below which a cell is drawn faint, 0 to 1. */
  threshold: number;
}

export const NO_FILTERS: Filters = {
  hidden: new Set(),
  without: new Set(),
  top: 0,
  threshold: 0,
};

/** One name for a layer of a stack: an encoder and a decoder may both have a layer 0. */
export const layerName = (stack: string, index: number) => `${stack}:${index}`;

/** The third of its stack that a layer lies in; a stack of one is early, of two early and late. */
export function depths(meta: ParametersMeta): Map<string, Depth> {
  const out = new Map<string, Depth>();
  const stacks = new Map<string, number[]>();
  for (const { stack, index } of meta.layers) {
    stacks.set(stack, [...(stacks.get(stack) ?? []), index]);
  }
  for (const [stack, all] of stacks) {
    const sorted = [...all].sort((a, b) => a - b);
    for (const [i, index] of sorted.entries()) {
      const part = sorted.length > 1 ? i / (sorted.length - 1) : 0;
      out.set(layerName(stack, index), part < 1 / 3 ? "early" : part <= 2 / 3 ? "middle" : "late");
    }
  }
  return out;
}

/** Layers left out by a preset. */
export function hiddenBy(meta: ParametersMeta, preset: Preset): Set<string> {
  if (preset === "all") return new Set();
  return new Set(
    [...depths(meta)].filter(([, depth]) => preset === "none" || depth !== preset).map(([n]) => n),
  );
}

/** The preset that leaves out just these layers, or null. */
export function presetOf(meta: ParametersMeta, hidden: ReadonlySet<string>): Preset | null {
  const same = (other: ReadonlySet<string>) =>
    other.size === hidden.size && [...other].every((name) => hidden.has(name));
  return PRESETS.find((preset) => same(hiddenBy(meta, preset))) ?? null;
}

/** A statistic of the matrix in `row` of the meta, NaN where unknown. */
export function statistic(
  meta: ParametersMeta,
  stats: Float32Array,
  row: number,
  name: StatisticName,
): number {
  const column = meta.statistics.indexOf(name);
  if (row < 0 || column < 0) return Number.NaN;
  return stats[row * meta.statistics.length + column] ?? Number.NaN;
}

/** How much each matrix changed since the snapshot before, against its size: ‖ΔW‖/‖W‖, NaN if unknown. */
export function changes(meta: ParametersMeta, stats: Float32Array): Float64Array {
  return Float64Array.from(meta.matrices, (_, row) => {
    const size = statistic(meta, stats, row, "l2");
    return size > 0 ? statistic(meta, stats, row, "change_l2") / size : Number.NaN;
  });
}

export interface Changed {
  matrix: MatrixMeta;
  change: number;
}

/** Matrices by their change, most first; those of which it is unknown are left out. */
export function mostChanged(
  meta: ParametersMeta,
  stats: Float32Array,
  wanted: (matrix: MatrixMeta) => boolean = () => true,
): Changed[] {
  const all = changes(meta, stats);
  return meta.matrices
    .map((matrix, row) => ({ matrix, change: all[row] as number }))
    .filter(({ matrix, change }) => Number.isFinite(change) && wanted(matrix))
    .sort((a, b) => b.change - a.change);
}

/** Mean change of the matrices of each layer, by `layerName`. */
export function changeByLayer(meta: ParametersMeta, stats: Float32Array): Map<string, number> {
  const sums = new Map<string, [sum: number, count: number]>();
  for (const [row, change] of changes(meta, stats).entries()) {
    const { stack, layer } = meta.matrices[row] as MatrixMeta;
    if (layer === null || !Number.isFinite(change)) continue;
    const [sum, count] = sums.get(layerName(stack, layer)) ?? [0, 0];
    sums.set(layerName(stack, layer), [sum + change, count + 1]);
  }
  return new Map([...sums].map(([name, [sum, count]]) => [name, sum / count]));
}

/** Whether layer and kind of a matrix are shown. */
function passes({ layer, stack, kind }: MatrixMeta, { hidden, without }: Filters): boolean {
  return !without.has(kind) && (layer === null || !hidden.has(layerName(stack, layer)));
}

/** Ids of the matrices that are shown. Without knowledge of change, `top` leaves all. */
export function visibleIds(
  meta: ParametersMeta,
  filters: Filters,
  stats: Float32Array,
): Set<number> {
  const passing = meta.matrices.filter((matrix) => passes(matrix, filters));
  if (filters.top > 0) {
    const most = mostChanged(meta, stats, (m) => m.heat !== null && passes(m, filters));
    if (most.length > 0) return new Set(most.slice(0, filters.top).map((m) => m.matrix.id));
  }
  return new Set(passing.map(({ id }) => id));
}

/** The value below which cells are faint: a share of the greatest that is shown. */
export function thresholdOf(
  { threshold }: Filters,
  { heat }: Pick<Moment, "heat">,
  visible: ReadonlySet<number>,
): number {
  if (threshold <= 0) return 0;
  const top = ({ offset, scale }: Heat) => offset + 255 * scale;
  let most = 0;
  for (const [id, picture] of heat) if (visible.has(id)) most = Math.max(most, top(picture));
  return clamp(threshold, 0, 1) * most;
}

/** Kinds that the model has, in the order of its meta, with how many matrices. */
export function kindCounts(meta: ParametersMeta): [Kind, number][] {
  return meta.kinds
    .map((kind): [Kind, number] => [kind, meta.matrices.filter((m) => m.kind === kind).length])
    .filter(([, count]) => count > 0);
}

/** `set` with `name` put in, or taken out. */
export function toggled<T>(set: ReadonlySet<T>, name: T): Set<T> {
  const next = new Set(set);
  if (!next.delete(name)) next.add(name);
  return next;
}
