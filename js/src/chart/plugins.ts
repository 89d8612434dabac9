/**
 * What uPlot does not draw by itself: glow, gaps' non-finite marks, dots.
 * Each is a uPlot plugin that reads its data when it draws; none keeps any.
 */

import uPlot from "uplot";
import { faded, glowing, type Palette } from "../paint";
import type { Mark } from "./data";

export interface Dot {
  x: number;
  y: number;
  color: string;
}

/** Light around the series for which `color` gives one. */
export function glow(color: (series: number) => string | null, blur: () => number): uPlot.Plugin {
  const light = (u: uPlot, series: number) => {
    const own = series < u.series.length ? color(series) : null;
    u.ctx.shadowBlur = own ? blur() * uPlot.pxRatio : 0;
    u.ctx.shadowColor = own ?? "transparent";
  };
  return {
    hooks: {
      drawAxes: (u) => light(u, 1),
      drawSeries: (u, series) => light(u, series + 1),
      draw: (u) => {
        u.ctx.shadowBlur = 0;
        u.ctx.shadowColor = "transparent";
      },
    },
  };
}

/** NaN as a red line through the plot, an infinity as a red wedge at its edge. */
export function nonfinite(marks: () => readonly Mark[], palette: () => Palette): uPlot.Plugin {
  return {
    hooks: {
      draw: (u) => {
        const all = marks();
        if (all.length === 0) return;
        const { ctx, bbox } = u;
        const ratio = uPlot.pxRatio;
        const color = palette().hot;
        glowing(ctx, color, palette().glow * 0.5 * ratio, () => {
          ctx.fillStyle = color;
          let drawn = Number.NEGATIVE_INFINITY;
          for (const { x, marks: kinds } of all) {
            const at = Math.round(u.valToPos(x, "x", true));
            if (at < bbox.left - 1 || at > bbox.left + bbox.width + 1) continue;
            if (at - drawn < ratio) continue;
            drawn = at;
            wedges(ctx, bbox, at, kinds, ratio, color);
          }
        });
      },
    },
  };
}

function wedges(
  ctx: CanvasRenderingContext2D,
  bbox: uPlot.BBox,
  at: number,
  kinds: number,
  ratio: number,
  color: string,
): void {
  const size = 5 * ratio;
  const bottom = bbox.top + bbox.height;
  const wedge = (tip: number, base: number) => {
    ctx.beginPath();
    ctx.moveTo(at, tip);
    ctx.lineTo(at - size * 0.7, base);
    ctx.lineTo(at + size * 0.7, base);
    ctx.fill();
  };
  if (kinds & 1) {
    ctx.fillStyle = faded(color, 0.45);
    ctx.fillRect(at - ratio / 2, bbox.top, ratio, bbox.height);
    ctx.fillStyle = color;
    ctx.fillRect(at - ratio, bottom - size * 1.6, 2 * ratio, size * 1.6);
  }
  if (kinds & 2) wedge(bbox.top, bbox.top + size);
  if (kinds & 4) wedge(bottom, bottom - size);
}

/** Points that a line alone would not show. */
export function dots(all: () => readonly Dot[], palette: () => Palette): uPlot.Plugin {
  return {
    hooks: {
      draw: (u) => {
        const { ctx, bbox } = u;
        const ratio = uPlot.pxRatio;
        for (const { x, y, color } of all()) {
          const [px, py] = [u.valToPos(x, "x", true), u.valToPos(y, "y", true)];
          if (px < bbox.left - 1 || px > bbox.left + bbox.width + 1) continue;
          glowing(ctx, color, palette().glow * ratio, () => {
            ctx.fillStyle = color;
            ctx.beginPath();
            ctx.arc(px, py, 3 * ratio, 0, 2 * Math.PI);
            ctx.fill();
          });
        }
      },
    },
  };
}
