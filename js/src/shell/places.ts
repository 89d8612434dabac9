/** Takes the viewer to a place: opens its tab and panel, scrolls there, shows the steps. */

import type { Live } from "../model";
import type { Place, UiState } from "../ui";
import type { PanelSpec } from "../wire.gen";

/** Air on either side of a window, as a part of it, and the fewest steps worth a zoom. */
const AIR = 0.25;
const LEAST = 20;

/** Whether `pattern` of a panel stands for `key`; `*` stays within one part. */
function claims(pattern: string, key: string): boolean {
  const [parts, given] = [pattern.split("/"), key.split("/")];
  return parts.length === given.length && parts.every((p, i) => p === "*" || p === given[i]);
}

/** The panel that a place means: as named, else the first chart of its key, else the loss. */
export function panelOf(specs: readonly PanelSpec[], place: Place): PanelSpec | undefined {
  const there = specs.filter((spec) => !spec.absent);
  const named = there.find((spec) => spec.id === place.panel);
  const key = place.key;
  const showing = (wanted: string) =>
    there.find((spec) => spec.view !== "readouts" && spec.keys.some((k) => claims(k, wanted)));
  return named ?? (key ? showing(key) : undefined) ?? showing("train/loss");
}

/** `window` with air around it. */
export function zoomOn([from, to]: readonly [number, number]): readonly [number, number] {
  const air = Math.max((to - from) * AIR, (LEAST - (to - from)) / 2);
  return [Math.max(0, from - air), to + air];
}

/** Go where `ui` is asked to, with `select` to open a tab, until `signal` aborts. */
export function followPlaces(
  root: HTMLElement,
  live: Live,
  ui: UiState,
  select: (tab: string) => void,
  signal: AbortSignal,
): void {
  const go = () => {
    const place = ui.get("place");
    const spec = place && panelOf(live.get("panels"), place);
    if (!spec) return;
    select(spec.tab);
    if (ui.get("collapsed").has(spec.id)) ui.toggle("collapsed", spec.id);
    if (place.window) ui.set("range", zoomOn(place.window));
    else if (typeof place.step === "number") {
      // Somewhere in the whole run: a rolling view, or a zoom elsewhere, may not show it.
      ui.set("range", "all");
      ui.set("cursor", place.step);
    }
    const panel = root.querySelector<HTMLElement>(`[data-panel="${CSS.escape(spec.id)}"]`);
    panel?.focus({ preventScroll: true });
    const calm = window.matchMedia?.("(prefers-reduced-motion: reduce)").matches;
    panel?.scrollIntoView?.({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  };
  ui.on("place", go, signal);
}
