/** Which part of x a chart shows, from the viewer's choice. Pure. */

import type { Extent } from "../scale";
import { ROLLING, type UiState } from "../ui";
import type { Source } from "./data";

/** All x of `lines`, or null if none has a row. */
export function wholeRange(lines: readonly Source[]): Extent | null {
  let whole: Extent | null = null;
  for (const line of lines) {
    const extent = line.extent();
    if (!extent) continue;
    whole = whole
      ? [Math.min(whole[0], extent[0]), Math.max(whole[1], extent[1])]
      : [extent[0], extent[1]];
  }
  return whole;
}

/**
 * The x that `lines` are drawn over. The rolling view shows each chart's own last rows, so
 * that ten evaluations are not cut down to the last one.
 */
export function visibleRange(ui: UiState, lines: readonly Source[], front = 0): Extent | null {
  const whole = wholeRange(lines);
  if (!whole) return null;
  const range = ui.get("range");
  if (range !== "rolling" && range !== "all") return range;
  const tails = lines.map((line) => line.tailX(ROLLING)).filter(Number.isFinite);
  const from = range === "all" ? whole[0] : Math.min(...tails);
  const to = Math.max(whole[1], front);
  return to > from ? [from, to] : [Math.max(0, from - 1), from + 1];
}
