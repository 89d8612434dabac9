/** The value that a legend tells: at the viewer's cursor, else the last one. Pure. */

import { grouped } from "../format";
import type { Point } from "../series";

export interface Told {
  point: Point | null;
  /** "step 120", or "" where it goes without saying, because it is the last one. */
  step: string;
}

/** What to tell of something that has a value `at` a step and a `last` one. */
export function told(
  cursor: number | null,
  at: (x: number) => Point | null | undefined,
  last: () => Point | null | undefined,
): Told {
  const point = (cursor === null ? last() : at(cursor)) ?? null;
  return { point, step: cursor !== null && point ? `step ${grouped(point.x)}` : "" };
}
