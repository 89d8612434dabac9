/** Events on a chart: a line or a tick at the step, a small sign at the top where there is room. */

import uPlot from "uplot";
import { faded, type Palette } from "../paint";
import type { RunEvent } from "../wire.gen";
import { type EventLook, eventLook, type Sign } from "./events";

/** Room that a sign takes, in CSS pixels. */
const SLOT = 11;
const SIZE = 3.5;

interface Drawn {
  at: number;
  look: EventLook;
}

/** Signs that have room, in order of x: in each slot the one of the highest rank. */
export function thinnedOut(all: readonly Drawn[], room: number): Drawn[] {
  const out: Drawn[] = [];
  for (const one of all) {
    const last = out[out.length - 1];
    if (!last || one.at - last.at >= room) out.push(one);
    else if (one.look.rank > last.look.rank) out[out.length - 1] = one;
  }
  return out;
}

function visible(
  all: readonly RunEvent[],
  palette: Palette,
  view: readonly [number, number],
  place: (step: number) => number,
): Drawn[] {
  const out: Drawn[] = [];
  for (const event of all) {
    if (event.step < view[0] || event.step > view[1]) continue;
    const look = eventLook(event, palette);
    if (look) out.push({ at: Math.round(place(event.step)), look });
  }
  return out.sort((a, b) => a.at - b.at);
}

/** Events as a plugin of a chart; `signs` tells whether there is room for more than ticks. */
export function markers(
  all: () => readonly RunEvent[],
  palette: () => Palette,
  view: () => readonly [number, number],
  signs: boolean,
): uPlot.Plugin {
  return {
    hooks: {
      drawAxes: (u) => {
        const ratio = uPlot.pxRatio;
        const found = visible(all(), palette(), view(), (step) => u.valToPos(step, "x", true));
        u.ctx.save();
        lines(u, found, ratio);
        u.ctx.restore();
      },
      draw: (u) => {
        if (!signs) return;
        const ratio = uPlot.pxRatio;
        const found = visible(all(), palette(), view(), (step) => u.valToPos(step, "x", true));
        u.ctx.save();
        for (const { at, look } of thinnedOut(found, SLOT * ratio)) {
          u.ctx.fillStyle = palette().panel;
          const half = (SIZE + 2) * ratio;
          u.ctx.fillRect(at - half, u.bbox.top - half * 0.6, 2 * half, 2 * half);
          u.ctx.fillStyle = look.color;
          drawSign(u.ctx, look.sign, at, u.bbox.top + SIZE * ratio * 0.8, SIZE * ratio);
        }
        u.ctx.restore();
      },
    },
  };
}

function lines(u: uPlot, found: readonly Drawn[], ratio: number): void {
  const { ctx, bbox } = u;
  const last = new Map<boolean, number>();
  for (const { at, look } of found) {
    if (at - (last.get(look.line) ?? Number.NEGATIVE_INFINITY) < 3 * ratio) continue;
    last.set(look.line, at);
    ctx.fillStyle = faded(look.color, look.line ? 0.5 : 0.9);
    if (!look.line) {
      ctx.fillRect(at, bbox.top + bbox.height - 5 * ratio, 2 * ratio, 5 * ratio);
      continue;
    }
    for (let y = 0; y < bbox.height; y += 6 * ratio) {
      ctx.fillRect(at, bbox.top + y, ratio, 3 * ratio);
    }
  }
}

type Polygon = readonly (readonly [number, number])[];

/** Signs as polygons about the origin, of radius 1. */
const SHAPES: Record<Exclude<Sign, "circle">, readonly Polygon[]> = {
  diamond: [
    [
      [0, -1.15],
      [1.15, 0],
      [0, 1.15],
      [-1.15, 0],
    ],
  ],
  bars: [
    [
      [-0.9, -1],
      [-0.25, -1],
      [-0.25, 1],
      [-0.9, 1],
    ],
    [
      [0.25, -1],
      [0.9, -1],
      [0.9, 1],
      [0.25, 1],
    ],
  ],
  play: [
    [
      [-0.8, -1],
      [1, 0],
      [-0.8, 1],
    ],
  ],
  disk: [
    [
      [-1, -1],
      [0.5, -1],
      [1, -0.5],
      [1, 1],
      [-1, 1],
    ],
  ],
  alert: [
    [
      [0, -1.1],
      [1.15, 1],
      [-1.15, 1],
    ],
  ],
  cross: [
    [
      [-1, -0.5],
      [-0.5, -1],
      [1, 0.5],
      [0.5, 1],
    ],
    [
      [1, -0.5],
      [0.5, -1],
      [-1, 0.5],
      [-0.5, 1],
    ],
  ],
};

/** A sign of radius `r` about (x, y) in the present fill colour. */
function drawSign(
  ctx: CanvasRenderingContext2D,
  sign: Sign,
  x: number,
  y: number,
  r: number,
): void {
  if (sign === "circle") {
    ctx.beginPath();
    ctx.arc(x, y, r * 0.95, 0, 2 * Math.PI);
    ctx.fill();
    return;
  }
  for (const polygon of SHAPES[sign]) {
    ctx.beginPath();
    for (const [px, py] of polygon) ctx.lineTo(x + px * r, y + py * r);
    ctx.closePath();
    ctx.fill();
  }
}
