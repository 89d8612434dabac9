/**
 * Heatmaps of the matrices, stacked layer by layer: which cell lies where, which colours it has
 * between two moments, and what is under a place. Owns one small offscreen picture per matrix.
 */

import { heatRange, type Range, rangeOf, type Tables } from "./colour";
import type { Heat, Look, MatrixMeta, Moment, ParametersMeta } from "./stage";

/** One row of the stack: a layer, or matrices that belong to none. */
export interface Row {
  readonly label: string;
  readonly layer: number | null;
  readonly stack: string;
  readonly matrices: readonly MatrixMeta[];
}

/** A matrix's place, in the stack's own units: CSS pixels at zoom 1. */
export interface Cell {
  readonly matrix: MatrixMeta;
  readonly row: number;
  readonly x: number;
  readonly y: number;
  readonly size: number;
}

export interface Layout {
  readonly rows: readonly Row[];
  readonly cells: readonly Cell[];
  readonly width: number;
  readonly height: number;
  /** Room for the rows' names at the left, and for the cells' names under each. */
  readonly gutter: number;
  readonly caption: number;
}

const GAP = 6;
const CAPTION = 13;
const SMALLEST = 30;
const LARGEST = 220;
const MOST_COLUMNS = 4;

/**
 * The rows of what is visible and has a heatmap, in the model's order: one for each layer, and one
 * for what lies before, between or after the layers.
 */
export function rowsOf(meta: ParametersMeta, visible: ReadonlySet<number>): Row[] {
  const rows = new Map<string, MatrixMeta[]>();
  let before = "";
  for (const matrix of meta.matrices) {
    const { layer, stack } = matrix;
    if (layer !== null) before = `${stack} ${layer}`;
    if (!matrix.heat || !visible.has(matrix.id)) continue;
    const name = layer === null ? `after ${before}` : before;
    rows.set(name, [...(rows.get(name) ?? []), matrix]);
  }
  const stacks = new Set(meta.layers.map((layer) => layer.stack));
  return [...rows].map(([name, matrices]) => {
    const { layer, stack } = matrices[0]!;
    const named = stacks.size > 1 && stack ? `${stack} ${layer}` : `layer ${layer}`;
    const label =
      layer === null ? outside(matrices, name === "after ", name === `after ${before}`) : named;
    return { label, layer, stack, matrices };
  });
}

/** What matrices of no layer are called together. */
function outside(matrices: readonly MatrixMeta[], first: boolean, last: boolean): string {
  const kinds = new Set(matrices.map((matrix) => matrix.kind));
  if (kinds.size === 1) return matrices[0]!.kind;
  return first ? "input" : last ? "output" : "between";
}

/** How rows are set: so many columns of rows, cells of this size, so many side by side. */
interface Fit {
  readonly columns: number;
  readonly per: number;
  readonly size: number;
}

/** The height of each row when `per` cells lie side by side. */
function heights(rows: readonly Row[], per: number, size: number): number[] {
  return rows.map((row) => Math.ceil(row.matrices.length / per) * (size + CAPTION + GAP));
}

/** Rows dealt into columns, one after the other, none higher than `most`; null if that's too many. */
function dealt(all: readonly number[], columns: number, most: number): number[] | null {
  const out: number[] = [];
  let [column, y] = [0, 0];
  for (const height of all) {
    if (y > 0 && y + height > most) {
      column++;
      y = 0;
    }
    if (height > most || column >= columns) return null;
    out.push(column);
    y += height;
  }
  return out;
}

/** The largest cells with which everything fits; SMALLEST where nothing does. */
function fitOf(rows: readonly Row[], width: number, height: number, gutter: number): Fit {
  const widest = Math.max(1, ...rows.map((row) => row.matrices.length));
  let best: Fit | null = null;
  for (let columns = 1; columns <= MOST_COLUMNS; columns++) {
    for (let per = widest; per >= 1; per--) {
      const across = Math.floor((width / columns - gutter) / per) - GAP;
      for (let size = Math.min(LARGEST, across); size >= SMALLEST; size -= 2) {
        if (best && size <= best.size) break;
        if (dealt(heights(rows, per, size), columns, height - GAP)) best = { columns, per, size };
      }
    }
  }
  if (best) return best;
  // Too much for the box: as many columns as are legible, and the rest is scrolled.
  const columns = Math.max(1, Math.floor(width / (gutter + widest * (SMALLEST + GAP))));
  const per = Math.max(1, Math.floor((width / columns - gutter) / (SMALLEST + GAP)));
  return { columns, per: Math.min(per, widest), size: SMALLEST };
}

/**
 * Cells as large as they can be so that all rows fit into `width` and `height`, in several columns
 * where that is better; what is higher than the box is scrolled.
 */
export function layoutOf(rows: readonly Row[], width: number, height: number): Layout {
  const gutter = width > 300 ? 72 : 44;
  const { columns, per, size } = fitOf(rows, width, height, gutter);
  const all = heights(rows, per, size);
  const total = all.reduce((sum, each) => sum + each, 0);
  let most = Math.max(height - GAP, total / columns);
  let places = dealt(all, columns, most);
  while (!places) {
    most += size + CAPTION + GAP;
    places = dealt(all, columns, most);
  }
  const cells: Cell[] = [];
  const ends = new Float64Array(columns).fill(GAP);
  rows.forEach((row, r) => {
    const column = places[r]!;
    const left = (column * width) / columns + gutter;
    const y = ends[column]!;
    row.matrices.forEach((matrix, i) => {
      const x = left + (i % per) * (size + GAP);
      cells.push({ matrix, row: r, x, y: y + Math.floor(i / per) * (size + CAPTION + GAP), size });
    });
    ends[column] = y + all[r]!;
  });
  return { rows, cells, width, height: Math.max(...ends), gutter, caption: CAPTION };
}

/** A matrix's value under a place of its cell, both 0 to 1; null outside. */
export function cellAt(
  layout: Layout,
  x: number,
  y: number,
): { cell: Cell; across: number; down: number } | null {
  for (const cell of layout.cells) {
    const [across, down] = [(x - cell.x) / cell.size, (y - cell.y) / cell.size];
    if (across >= 0 && across < 1 && down >= 0 && down < 1) return { cell, across, down };
  }
  return null;
}

/** The value of one cell of a heatmap between two moments. */
export function heatValue(a: Heat, b: Heat, t: number, row: number, column: number): number {
  const at = row * a.columns + column;
  const [p, q] = [a.offset + a.scale * a.data[at]!, b.offset + b.scale * (b.data[at] ?? 0)];
  return p + (q - p) * t;
}

interface Painted {
  readonly canvas: HTMLCanvasElement;
  readonly image: ImageData;
  readonly words: Uint32Array;
  a: Heat | null;
  b: Heat | null;
  key: string;
}

/** The pictures of the heatmaps, painted anew only where something has changed. */
export class Planes {
  #painted = new Map<number, Painted>();
  #ranges = new WeakMap<Heat, readonly [number, number]>();

  /** The two heatmaps to draw between; where one moment lacks the matrix, the other's holds. */
  pair(a: Moment, b: Moment, matrix: number): readonly [Heat, Heat] | null {
    const [first, second] = [a.heat.get(matrix), b.heat.get(matrix)];
    const p = first ?? second;
    const q = second ?? first;
    if (!p || !q) return null;
    return p.data.length === q.data.length ? [p, q] : [q, q];
  }

  /** The range of one matrix between two moments: it goes over from one to the other evenly. */
  range(pair: readonly [Heat, Heat], t: number): readonly [number, number] {
    const [p, q] = [this.#own(pair[0]), this.#own(pair[1])];
    return [p[0] + (q[0] - p[0]) * t, p[1] + (q[1] - p[1]) * t];
  }

  /** The range of all cells together, or null if there are none. */
  shared(a: Moment, b: Moment, t: number, cells: readonly Cell[]): Range | null {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const { matrix } of cells) {
      const pair = this.pair(a, b, matrix.id);
      if (!pair) continue;
      const own = this.range(pair, t);
      low = Math.min(low, own[0]);
      high = Math.max(high, own[1]);
    }
    return low <= high ? rangeOf(low, high) : null;
  }

  /** The picture of one matrix with `range`'s colours. */
  picture(
    id: number,
    pair: readonly [Heat, Heat],
    t: number,
    range: Range,
    look: Pick<Look, "threshold">,
    tables: Tables,
  ): HTMLCanvasElement {
    const [a, b] = pair;
    let held = this.#painted.get(id);
    if (!held || held.image.width !== a.columns || held.image.height !== a.rows) {
      const canvas = document.createElement("canvas");
      canvas.width = a.columns;
      canvas.height = a.rows;
      const image = new ImageData(a.columns, a.rows);
      held = {
        canvas,
        image,
        words: new Uint32Array(image.data.buffer),
        a: null,
        b: null,
        key: "",
      };
      this.#painted.set(id, held);
    }
    const still = a === b ? 0 : t;
    const key = [still, range.low, range.high, look.threshold, tables.ground].join(" ");
    if (held.a === a && held.b === b && held.key === key) return held.canvas;
    Object.assign(held, { a, b, key });
    colour(held.words, a, b, still, range, look.threshold, tables);
    held.canvas.getContext("2d", { willReadFrequently: true })?.putImageData(held.image, 0, 0);
    return held.canvas;
  }

  clear(): void {
    this.#painted.clear();
  }

  #own(heat: Heat): readonly [number, number] {
    const known = this.#ranges.get(heat) ?? heatRange(heat);
    this.#ranges.set(heat, known);
    return known;
  }
}

/** The words of a heatmap between `a` and `b`; cells below the threshold are faint. */
export function colour(
  words: Uint32Array,
  a: Heat,
  b: Heat,
  t: number,
  range: Range,
  threshold: number,
  tables: Tables,
): void {
  const table = range.diverging ? tables.signed : tables.heat;
  const faint = range.diverging ? tables.signedFaint : tables.heatFaint;
  const span = range.high - range.low;
  // A matrix of equal values lies in the middle of its own scale, not at an end of it.
  const factor = span > 0 ? 255 / span : 0;
  const base = span > 0 ? 0 : 127.5;
  const [p, q] = [a.scale * (1 - t), b.scale * t];
  const offset = a.offset * (1 - t) + b.offset * t;
  for (let i = 0; i < words.length; i++) {
    const value = offset + a.data[i]! * p + b.data[i]! * q;
    const place = base + (value - range.low) * factor + 0.5;
    const at = place < 0 ? 0 : place > 255 ? 255 : place | 0;
    words[i] = Math.abs(value) < threshold ? faint[at]! : table[at]!;
  }
}
