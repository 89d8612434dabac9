/** Loss spikes whose rows were kept, as dots that a viewer can press. Pure. */

import type { Palette } from "../paint";
import type { Store } from "../store";
import type { Dot } from "./plugins";

interface Kept {
  step: number;
  loss: number;
}

function kept(store: Store): Kept[] {
  return (store.tensor("insight/spikes")?.meta.spikes ?? []) as Kept[];
}

/** Dots of the kept spikes; one whose loss is not finite has no height to stand at. */
export function spikeDots(store: Store, palette: Palette): Dot[] {
  return kept(store)
    .filter(({ loss }) => Number.isFinite(loss))
    .map(({ step, loss }) => ({ x: step, y: loss, color: palette.hot }));
}

/** Step of the kept spike within `reach` of `x`, or null. */
export function spikeNear(store: Store, x: number, reach: number): number | null {
  let best: number | null = null;
  for (const { step } of kept(store)) {
    const far = Math.abs(step - x);
    if (far <= reach && (best === null || far < Math.abs(best - x))) best = step;
  }
  return best;
}
