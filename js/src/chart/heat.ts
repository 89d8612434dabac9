/** A heat map over steps: rows of values, a column per measured step. Owns its pixels only. */

import { tickLabels } from "../format";
import { colorTable, type Palette } from "../paint";
import { clamp, type Extent, extentOf, stepTicks, union } from "../scale";
import type { Window } from "../series";

/** Where the map lies in its canvas, in CSS pixels. */
export interface Frame {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Extent of the finite values of all rows. */
export function heatExtent(rows: readonly Window[]): Extent | null {
  let all: Extent | null = null;
  for (const row of rows) all = union(all, extentOf(row.mean.subarray(0, row.n)));
  return all;
}

/** Values looked at to find where the scale begins: enough for a part in a hundred. */
const LOOKS = 4000;
/** Part of the values that may lie under the scale, and decades of it that are worth that. */
const UNDER = 0.02;
const DECADE = 1;

/**
 * Extent of logarithms for a scale of colours. A few values far under all others, such as those
 * of a last step at a learning rate of nearly nothing, would leave one colour to the rest: the
 * scale begins above them.
 */
export function logExtent(rows: readonly Window[]): Extent | null {
  const whole = heatExtent(rows);
  if (!whole) return null;
  const every = Math.ceil(rows.reduce((n, row) => n + row.n, 0) / LOOKS);
  const seen: number[] = [];
  let at = 0;
  for (const { mean, n } of rows) {
    for (let i = 0; i < n; i++)
      if (at++ % every === 0 && Number.isFinite(mean[i])) seen.push(mean[i]!);
  }
  seen.sort((a, b) => a - b);
  const low = seen[Math.floor(seen.length * UNDER)] ?? whole[0];
  return low - whole[0] > DECADE ? [low, whole[1]] : whole;
}

/** One pixel per value: columns are points of the longest row, NaN is transparent. */
function pixels(rows: readonly Window[], extent: Extent, stops: readonly string[]): ImageData {
  const columns = Math.max(1, ...rows.map((row) => row.n));
  const image = new ImageData(columns, rows.length);
  const words = new Uint32Array(image.data.buffer);
  const table = colorTable(stops);
  const span = extent[1] - extent[0] || 1;
  rows.forEach((row, r) => {
    for (let i = 0; i < row.n; i++) {
      const part = (row.mean[i]! - extent[0]) / span;
      if (Number.isFinite(part))
        words[r * columns + i] = table[Math.round(clamp(part, 0, 1) * 255)]!;
    }
  });
  return image;
}

/** Draw `rows` from top to bottom over `view`; each column reaches to the next step. */
export function drawHeat(
  ctx: CanvasRenderingContext2D,
  palette: Palette,
  frame: Frame,
  rows: readonly Window[],
  view: Extent,
  extent: Extent,
): void {
  const lead = rows.reduce((a, b) => (b.n > a.n ? b : a));
  const image = pixels(rows, extent, palette.heat);
  const source = document.createElement("canvas");
  source.width = image.width;
  source.height = image.height;
  source.getContext("2d")?.putImageData(image, 0, 0);
  const px = (x: number) => frame.left + ((x - view[0]) / (view[1] - view[0])) * frame.width;
  ctx.save();
  ctx.beginPath();
  ctx.rect(frame.left, frame.top, frame.width, frame.height);
  ctx.clip();
  ctx.imageSmoothingEnabled = false;
  for (let i = 0; i < lead.n; i++) {
    const from = Math.floor(px(lead.x[i]!));
    const to = i + 1 < lead.n ? Math.floor(px(lead.x[i + 1]!)) : frame.left + frame.width;
    const width = Math.max(1, to - from);
    ctx.drawImage(source, i, 0, 1, rows.length, from, frame.top, width, frame.height);
  }
  ctx.restore();
}

/** Names of the rows, as many as fit, and steps below. */
export function drawAxes(
  ctx: CanvasRenderingContext2D,
  palette: Palette,
  frame: Frame,
  names: readonly string[],
  view: Extent,
): void {
  ctx.font = palette.font;
  ctx.fillStyle = palette.label;
  const high = frame.height / names.length;
  const every = Math.ceil(13 / high);
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  names.forEach((name, r) => {
    if (r % every === 0) ctx.fillText(name, frame.left - 6, frame.top + (r + 0.5) * high);
  });
  const steps = stepTicks(view[0], view[1], Math.max(2, frame.width / 90));
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  tickLabels(steps).forEach((label, i) => {
    const x = frame.left + ((steps[i]! - view[0]) / (view[1] - view[0])) * frame.width;
    ctx.fillText(
      label,
      clamp(x, frame.left + 8, frame.left + frame.width - 10),
      frame.top + frame.height + 5,
    );
  });
  ctx.strokeStyle = palette.border;
  ctx.lineWidth = 1;
  ctx.strokeRect(frame.left + 0.5, frame.top + 0.5, frame.width - 1, frame.height - 1);
}
