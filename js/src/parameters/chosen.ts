/** What a viewer has chosen to see, and what a stop of the tour makes of it. Pure. */

import { type Filters, NO_FILTERS } from "./filters";
import type { Look, ParametersMeta } from "./stage";
import type { Stop } from "./tour";

export type Choices = Pick<Look, "colourBy" | "shared" | "showTokens" | "showPositions">;

export interface Chosen {
  readonly filters: Filters;
  readonly choices: Choices;
  /** Token, as an index of the points, or null. */
  readonly selected: number | null;
}

/** What is shown of a model before anybody chose. */
export function atFirst(meta: ParametersMeta | null): Chosen {
  const tokens = meta === null || meta.tokens !== null;
  const choices = { shared: true, showTokens: true, showPositions: !tokens };
  return { filters: NO_FILTERS, choices: { colourBy: "cluster", ...choices }, selected: null };
}

/** What a stop of the tour wants to be seen. */
export function chosenAt({ kinds, look, fly }: Stop, meta: ParametersMeta, now: Chosen): Chosen {
  const without = new Set(kinds === null ? [] : meta.kinds.filter((k) => !kinds.includes(k)));
  return {
    filters: { ...NO_FILTERS, without },
    choices: { ...now.choices, ...look },
    selected: typeof fly === "object" && "token" in fly ? fly.token : null,
  };
}
