/**
 * Explanations where they are asked for: whatever has `data-explain` tells, on hover and on focus,
 * what it is and what healthy and unhealthy look like. Owns one box; the words are `explain.ts`'s.
 */

import { clamp } from "../scale";
import { h } from "../view";
import { type Explanation, explain } from "./explain";

/** Names that the kernel has for phases, where the words have others. */
const PHASES: Readonly<Record<string, string>> = {
  initialization: "initialisation",
  "fine tuning": "refinement",
  plateau: "convergence",
};
const WIDTH = 290;
const AIR = 6;

/** What is known of `kind:mlp`, `statistic:l2` or `phase:plateau`, or null. */
export function explanationOf(what: string): Explanation | null {
  const [of, name = ""] = what.split(":", 2);
  if (of === "phase") return explain(of, PHASES[name] ?? name);
  return of === "kind" || of === "statistic" || of === "insight" ? explain(of, name) : null;
}

/** Explain what is marked within `root`, until `signal` aborts. */
export function explainIn(root: HTMLElement, signal: AbortSignal): void {
  const tip = h("div", { class: "nbm-explainer", role: "tooltip", hidden: true });
  root.append(tip);
  let shown: Element | null = null;
  const show = (target: EventTarget | null) => {
    const found = target instanceof Element ? target.closest("[data-explain]") : null;
    if (found === shown) return;
    shown = found;
    const told = found && explanationOf(found.getAttribute("data-explain") ?? "");
    tip.hidden = !told;
    if (!told || !found) return;
    tip.replaceChildren(
      h("b", {}, told.title),
      h("span", {}, told.text),
      h("span", { "data-tone": "good" }, `Healthy: ${told.healthy}`),
      h("span", { "data-tone": "bad" }, `Unhealthy: ${told.unhealthy}`),
    );
    place(root, found, tip);
  };
  root.addEventListener("pointerover", (event) => show(event.target), { signal });
  root.addEventListener("focusin", (event) => show(event.target), { signal });
  const hide = () => show(null);
  root.addEventListener("pointerleave", hide, { signal });
  root.addEventListener("focusout", hide, { signal });
  root.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Escape") hide();
    },
    { signal },
  );
}

/** Beside what is explained where there is room, else below or above it; never over it. */
function place(root: HTMLElement, at: Element, tip: HTMLElement): void {
  const [all, own] = [root.getBoundingClientRect(), at.getBoundingClientRect()];
  const width = Math.min(WIDTH, all.width - 2 * AIR);
  tip.style.width = `${width}px`;
  const high = tip.getBoundingClientRect().height;
  // Beside the whole column, so that what stands next to it can still be read.
  const column = at.closest(".nbm-side")?.getBoundingClientRect().left ?? own.left;
  const beside = column - all.left > width + 2 * AIR;
  const below = own.bottom + AIR + high < all.bottom;
  const left = beside ? column - width - AIR : own.left;
  const top = beside ? own.top - AIR : below ? own.bottom + AIR : own.top - AIR - high;
  tip.style.left = `${clamp(left - all.left, AIR, Math.max(AIR, all.width - width - AIR))}px`;
  tip.style.top = `${clamp(top - all.top, 0, Math.max(0, all.height - high))}px`;
}
