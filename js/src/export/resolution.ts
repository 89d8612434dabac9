/** How much of what was logged an export holds, in words. Pure. */

import type { Stretch } from "../codec";

export const FULL = "every step";

/** "every step", or how many rows stand behind one where rows are kept in buckets. */
export function resolution(stretches: readonly Stretch[]): string {
  let [rows, points] = [0, 0];
  for (const { counts } of stretches) {
    if (!counts) continue;
    points += counts.length;
    for (const count of counts) rows += count;
  }
  if (rows <= points) return FULL;
  return `summary: 1 of ${Math.max(2, Math.round(rows / points))} rows`;
}
