/**
 * How the gradient flows: a bar for each station of the model, on a logarithmic scale, and pulses
 * that run from the head back to the embeddings, bright and fast where it is strong. Owns the
 * drawing; what a gradient is worth is `stations.ts`'s.
 */

import { tickLabels } from "../format";
import { faded, glowing } from "../paint";
import { clamp, type Extent, extentOf, logTicks, union } from "../scale";
import type { Drawing, Field } from "./board";
import { drawFoot } from "./cells";
import type { Judged } from "./stations";

export interface Flow {
  readonly names: readonly string[];
  /** RMS at each station, NaN where unknown. */
  readonly rms: ArrayLike<number>;
  /** What the scale reaches over, as logarithms of 10. */
  readonly reach: Extent;
  readonly judged: Judged | null;
}

const [LEFT, RIGHT, FOOT, TOP, WIRE] = [46, 6, 15, 6, 16] as const;
/** What a pulse needs for the whole way where the gradient is of medium strength. */
const WAY_MS = 3600;
const PULSES = 4;

/** What the scale has to reach over now, having reached over `before`: whole decades, two at least. */
export function reachOf(rms: ArrayLike<number>, before: Extent | null): Extent | null {
  const logs = Array.from(rms, (v) => (v > 0 ? Math.log10(v) : Number.NaN));
  const all = union(before, extentOf(logs));
  if (!all) return null;
  const [low, high] = [Math.floor(all[0]), Math.ceil(all[1])];
  return high - low < 2 ? [Math.min(low, high - 2), high] : [low, high];
}

/** How strong a gradient is on its scale, 0 to 1; 0 where there is none. */
export function strength(value: number, [low, high]: Extent): number {
  return value > 0 ? clamp((Math.log10(value) - low) / (high - low), 0, 1) : 0;
}

/** Part of the middle speed with which a pulse goes by. */
const pace = (strong: number) => 0.3 + 1.4 * strong;

/**
 * Where the pulses are at a time, in stations from the first: each leaves the last station some
 * time after the one before, and goes slowly where little gradient arrives.
 */
export function pulsesAt(strengths: readonly number[], ms: number): number[] {
  const n = strengths.length;
  const times = strengths.map((s) => WAY_MS / n / pace(s));
  const whole = times.reduce((sum, t) => sum + t, 0);
  return Array.from({ length: n > 0 ? PULSES : 0 }, (_, k) => {
    let left = (ms + (k * whole) / PULSES) % whole;
    let i = n - 1;
    for (; i > 0 && left > times[i]!; i--) left -= times[i]!;
    return i + 1 - Math.min(1, left / times[i]!);
  });
}

export function drawFlow(drawing: Drawing, { names, rms, reach, judged }: Flow, ms: number): Field {
  const { ctx, palette, width, height, at } = drawing;
  const n = names.length;
  const [w, floor] = [(width - LEFT - RIGHT) / n, height - FOOT - WIRE];
  const high = floor - TOP;
  const x = (station: number) => LEFT + station * w;
  ctx.font = palette.font;
  ctx.lineWidth = 1;
  const marks = logTicks(10 ** reach[0], 10 ** reach[1], clamp(Math.floor(high / 26), 2, 6));
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  for (const [i, text] of tickLabels(marks, "", true).entries()) {
    const y = Math.round(floor - strength(marks[i]!, reach) * high) + 0.5;
    ctx.fillStyle = palette.grid;
    ctx.fillRect(LEFT, y, n * w, 1);
    ctx.fillStyle = palette.label;
    ctx.fillText(text, LEFT - 5, clamp(y, 6, height));
  }
  const strengths = Array.from(rms, (v) => strength(v, reach));
  const pulses = pulsesAt(strengths, ms);
  const bad = new Set([...(judged?.vanishing ?? []), ...(judged?.exploding ?? [])]);
  for (let i = 0; i < n; i++) {
    const near = Math.max(0, ...pulses.map((p) => 1 - Math.abs(p - i - 0.5)));
    const strong = strengths[i]!;
    const color = bad.has(i) ? palette.hot : palette.grad;
    const tall = rms[i]! === Number.POSITIVE_INFINITY ? high : Math.max(strong * high, 1);
    ctx.fillStyle = Number.isNaN(rms[i]!) ? palette.grid : faded(color, 0.5 + 0.4 * strong * near);
    const room = Math.max(1, w - (w > 6 ? 3 : 1));
    const lit = at?.[1] === i;
    if (lit) ctx.fillStyle = palette.readout;
    ctx.fillRect(x(i) + 1, floor - tall, room, tall);
    ctx.fillStyle = lit ? palette.readout : color;
    if (!Number.isNaN(rms[i]!)) ctx.fillRect(x(i) + 1, floor - tall, room, 2);
  }
  wire(drawing, { x, y: floor + WIRE / 2 + 1, n, strengths, pulses });
  drawFoot(drawing, names, LEFT, w);
  return { left: LEFT, top: 0, width: n * w, height, rows: 1, columns: n };
}

interface Wire {
  readonly x: (station: number) => number;
  readonly y: number;
  readonly n: number;
  readonly strengths: readonly number[];
  readonly pulses: readonly number[];
}

/** The way itself, and what runs on it. */
function wire({ ctx, palette }: Drawing, { x, y, n, strengths, pulses }: Wire): void {
  ctx.fillStyle = palette.border;
  ctx.fillRect(x(0), y, x(n) - x(0), 1);
  for (const pulse of pulses) {
    const strong = strengths[clamp(Math.floor(pulse), 0, n - 1)]!;
    const alpha = 0.12 + 0.88 * strong;
    const at = x(clamp(pulse, 0, n));
    const tail = Math.min(12 + 36 * strong, x(n) - at);
    const light = ctx.createLinearGradient?.(at, 0, at + tail, 0);
    light?.addColorStop(0, faded(palette.grad, alpha));
    light?.addColorStop(1, faded(palette.grad, 0));
    ctx.fillStyle = light ?? palette.grad;
    ctx.fillRect(at, y - 1.5, tail, 4);
    glowing(ctx, palette.grad, palette.glow * strong, () => {
      ctx.fillStyle = faded(palette.grad, alpha);
      ctx.beginPath();
      ctx.arc(at, y + 0.5, 2 + 2.5 * strong, 0, 2 * Math.PI);
      ctx.fill();
    });
  }
}
