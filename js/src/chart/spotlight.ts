/** The steps that a viewer was sent to, as a band on the charts for as long as they are zoomed there. */

import uPlot from "uplot";
import { faded, type Palette } from "../paint";
import type { UiState } from "../ui";
import { setAttr } from "../view";

/** Least width of the band, in CSS pixels: a single step is a window, too. */
const LEAST = 3;

/** Steps to mark, or null: a viewer who has left the zoom has seen them. */
export function marked(ui: UiState): readonly [number, number] | null {
  return typeof ui.get("range") === "string" ? null : (ui.get("place")?.window ?? null);
}

/** The band as a plugin of a chart; the chart's root says which steps it marks. */
export function spotlight(ui: UiState, palette: () => Palette): uPlot.Plugin {
  return {
    hooks: {
      drawClear: (u) => {
        const window = marked(ui);
        setAttr(u.root, "data-marked", window && `${window[0]}-${window[1]}`);
        if (!window) return;
        const { ctx, bbox } = u;
        const [from, to] = window.map((step) => u.valToPos(step, "x", true)) as [number, number];
        const width = Math.max(to - from, LEAST * uPlot.pxRatio);
        const left = Math.max(bbox.left, (from + to - width) / 2);
        const right = Math.min(bbox.left + bbox.width, (from + to + width) / 2);
        if (right <= left) return;
        ctx.save();
        ctx.fillStyle = faded(palette().warn, 0.13);
        ctx.fillRect(left, bbox.top, right - left, bbox.height);
        ctx.restore();
      },
    },
  };
}
