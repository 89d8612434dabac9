/** Events on a chart: a line or a tick at the step, a small sign at the top where there is room. */

import uPlot from "uplot";
import { faded, type Palette } from "../paint";
import type { RunEvent } from "../wire.gen";
import { type EventLook, eventLook, type Sign } from "./events";

/** Room that a sign takes, in CSS pixels. */
const SLOT = 11;
const SIZE = 3.5;
/** More lines than this would hide the course. */
const MOST_LINES = 16;

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
  const drawn = (u: uPlot) => {
    const place = (step: number) => u.valToPos(step, "x", true);
    return thinnedOut(visible(all(), palette(), view(), place), SLOT * uPlot.pxRatio);
  };
  return {
    hooks: {
      drawAxes: (u) => {
        u.ctx.save();
        drawLines(u, drawn(u));
        u.ctx.restore();
      },
      draw: (u) => {
        if (!signs) return;
        const radius = SIZE * uPlot.pxRatio;
        for (const { at, look } of drawn(u)) {
          drawSign(u.ctx, look, palette().panel, at, u.bbox.top + radius * 0.8, radius);
        }
      },
    },
  };
}

/** A dashed line through the plot, or a tick at its foot; where there are many, short ones. */
function drawLines({ ctx, bbox }: uPlot, found: readonly Drawn[]): void {
  const ratio = uPlot.pxRatio;
  const crowded = found.filter(({ look }) => look.line).length > MOST_LINES;
  const long = crowded ? 20 * ratio : bbox.height;
  for (const { at, look } of found) {
    ctx.fillStyle = faded(look.color, look.line ? 0.5 : 0.9);
    if (!look.line) {
      ctx.fillRect(at, bbox.top + bbox.height - 5 * ratio, 2 * ratio, 5 * ratio);
      continue;
    }
    for (let y = 0; y < long; y += 6 * ratio) ctx.fillRect(at, bbox.top + y, ratio, 3 * ratio);
  }
}

/** Signs as paths about the origin, of radius 1. */
const SHAPES: Record<Sign, string> = {
  diamond: "M0-1.15 1.15 0 0 1.15-1.15 0z",
  bars: "M-.9-1h.65v2h-.65zM.25-1h.65v2H.25z",
  play: "M-.8-1 1 0-.8 1z",
  disk: "M-1-1H.5L1-.5V1H-1z",
  circle: "M-.95 0a.95.95 0 1 0 1.9 0a.95.95 0 1 0-1.9 0z",
  alert: "M0-1.1 1.15 1h-2.3z",
  cross: "M-1-.5-.5-1 0-.5.5-1 1-.5.5 0 1 .5.5 1 0 .5-.5 1-1 .5-.5 0z",
};

/** The sign of an event about (x, y), on a patch that keeps it clear of the line. */
function drawSign(
  ctx: CanvasRenderingContext2D,
  { sign, color }: EventLook,
  back: string,
  x: number,
  y: number,
  radius: number,
): void {
  ctx.save();
  ctx.translate(x, y);
  ctx.scale(radius, radius);
  ctx.fillStyle = back;
  ctx.fillRect(-1.6, -1.6, 3.2, 3.2);
  ctx.fillStyle = color;
  ctx.fill(new Path2D(SHAPES[sign]));
  ctx.restore();
}
