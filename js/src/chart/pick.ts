/**
 * One of a row of things picked by pointer or arrow keys, as a slider tells it to whoever
 * listens. Owns the keys; knows nothing of what is drawn.
 */

import { setAttr } from "../view";

export interface Pick {
  /** What is picked, or null. */
  readonly at: number | null;
  /** Say of how many is picked, and what the present one is. */
  tell(count: number, text: string): void;
}

/** Make `el` pickable; `under` gives the index under a pointer, `changed` asks for a paint. */
export function pickable(
  el: HTMLElement,
  label: string,
  under: (x: number, y: number) => number | null,
  changed: () => void,
  signal: AbortSignal,
): Pick {
  let at: number | null = null;
  let most = 0;
  const to = (next: number | null) => {
    if (next === at) return;
    at = next;
    changed();
  };
  for (const [name, value] of [
    ["role", "slider"],
    ["tabindex", "0"],
    ["aria-label", label],
    ["data-lm-suppress-shortcuts", "true"],
  ] as const)
    el.setAttribute(name, value);
  el.addEventListener(
    "pointermove",
    (event) => {
      const box = el.getBoundingClientRect();
      to(under(event.clientX - box.left, event.clientY - box.top));
    },
    { signal },
  );
  el.addEventListener("pointerleave", () => to(null), { signal });
  el.addEventListener("blur", () => to(null), { signal });
  el.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || most === 0) return;
      const last = most - 1;
      const next = {
        ArrowRight: Math.min(last, (at ?? -1) + 1),
        ArrowLeft: Math.max(0, (at ?? most) - 1),
        Home: 0,
        End: last,
      }[event.key];
      if (event.key === "Escape") to(null);
      else if (next === undefined) return;
      else to(next);
      event.preventDefault();
      event.stopPropagation();
    },
    { signal },
  );
  return {
    get at() {
      return at !== null && at < most ? at : null;
    },
    tell(count, text) {
      most = count;
      setAttr(el, "aria-valuemin", "0");
      setAttr(el, "aria-valuemax", String(Math.max(0, count - 1)));
      setAttr(el, "aria-valuenow", String(at ?? 0));
      setAttr(el, "aria-valuetext", text);
    },
  };
}
