/** A table of values as coloured cells with names beside and below. Owns its pixels only. */

import { faded, ramp } from "../paint";
import { clamp } from "../scale";
import type { Drawing, Field } from "./board";

export interface Cells {
  /** Row by row; NaN is left empty. */
  readonly values: ArrayLike<number>;
  /** The value that the last colour stands for; the first stands for 0. */
  readonly top: number;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** How wide cells may be at most, in heights. */
  readonly widest?: number;
  /** Rows that begin a group. */
  readonly breaks?: readonly number[];
}

const LINE = 12;
const AIR = 5;

/** Names below columns that begin at `left`: all, or as many as there is room for, and the last. */
export function drawFoot(
  { ctx, palette, width, height }: Drawing,
  texts: readonly string[],
  left: number,
  unit: number,
): void {
  ctx.fillStyle = palette.label;
  ctx.textAlign = "center";
  ctx.textBaseline = "bottom";
  const widest = Math.max(1, ...texts.map((text) => ctx.measureText(text).width + AIR));
  const every = Math.ceil(widest / unit);
  const last = texts.length - 1;
  for (const [i, text] of texts.entries()) {
    if (i !== last && (i % every > 0 || last - i < every)) continue;
    const half = ctx.measureText(text).width / 2;
    ctx.fillText(text, Math.min(left + (i + 0.5) * unit, width - half), height);
  }
}

export function drawCells(drawing: Drawing, cells: Cells): Field {
  const { ctx, palette, width, height, at } = drawing;
  const { values, top, rows, columns, widest = Infinity, breaks = [] } = cells;
  ctx.font = palette.font;
  const left = Math.ceil(Math.max(0, ...rows.map((t) => ctx.measureText(t).width))) + AIR;
  const foot = columns.length > 0 ? LINE + 2 : 0;
  const n = Math.max(1, values.length / Math.max(1, rows.length));
  let [w, high] = [(width - left - 1) / n, (height - foot - 1) / rows.length];
  high = Math.min(high, w * widest);
  w = Math.min(w, high * widest);
  const field = { left, top: 0, width: w * n, height: high * rows.length };
  const x = (column: number) => left + Math.round(column * w);
  const y = (row: number) => Math.round(row * high);
  ctx.fillStyle = palette.grid;
  ctx.fillRect(left, 0, field.width, field.height);
  // Lines between cells, as long as those are large enough to spare them.
  const gap = Math.min(w, high) > 7 ? 1 : 0;
  for (let i = 0; i < values.length; i++) {
    const [row, column] = [Math.floor(i / n), i % n];
    const part = values[i]! / (top || 1);
    ctx.fillStyle = Number.isNaN(part) ? palette.panel : ramp(palette.heat, part);
    ctx.fillRect(x(column), y(row), x(column + 1) - x(column) - gap, y(row + 1) - y(row) - gap);
  }
  ctx.fillStyle = palette.label;
  ctx.textBaseline = "middle";
  ctx.textAlign = "right";
  const every = Math.ceil(LINE / high);
  for (let row = 0; row < rows.length; row += every) {
    const middle = clamp((row + 0.5) * high, LINE / 2, field.height - LINE / 2);
    ctx.fillText(rows[row]!, left - AIR, middle);
  }
  if (columns.length > 0) drawFoot(drawing, columns, left, w);
  ctx.fillStyle = faded(palette.readout, 0.55);
  for (const row of breaks) {
    ctx.fillRect(left, y(row) - 1, field.width, 1);
    ctx.fillRect(x(row) - 1, 0, 1, field.height);
  }
  if (at) {
    const [row, column] = at;
    ctx.strokeStyle = palette.readout;
    ctx.lineWidth = 1.5;
    ctx.strokeRect(x(column), y(row), x(column + 1) - x(column), y(row + 1) - y(row));
  }
  return { ...field, rows: rows.length, columns: n };
}
