/**
 * Explanations for who uses the keyboard: what an element's title tells a pointer that rests on it,
 * shown when the element gets the focus. Escape puts it away. One tip for all elements of a box.
 */

import { h } from "../view";

/** Shorter titles only name what the element says itself. */
const WORTH_TELLING = 40;
const WIDEST = 320;

/** Show the titles of focused elements within `root` until `signal` aborts. */
export function showAids(root: HTMLElement, signal: AbortSignal): void {
  const tip = h("div", { class: "nbm-aid", "aria-hidden": "true", hidden: true });
  root.append(tip);
  signal.addEventListener("abort", () => tip.remove(), { once: true });
  root.addEventListener(
    "focusin",
    (event) => {
      const el = event.target as HTMLElement;
      const title = el.title ?? "";
      // Who clicks sees the title on hover; who tabs does not.
      if (title.length < WORTH_TELLING || !el.matches(":focus-visible")) return;
      tip.replaceChildren(...title.split("\n").map(line));
      tip.hidden = false;
      place(tip, el, root);
    },
    { signal },
  );
  root.addEventListener("focusout", () => (tip.hidden = true), { signal });
  root.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Escape") tip.hidden = true;
    },
    { signal },
  );
}

/** A line of an explanation; those that `spelled` marks have a tone. */
function line(text: string): HTMLElement {
  const tone = text.startsWith("Healthy: ")
    ? "good"
    : text.startsWith("Unhealthy: ")
      ? "bad"
      : null;
  return h("p", { "data-tone": tone }, text);
}

/** Below the element, or above it where there is no room; within the dashboard, which cuts the rest. */
function place(tip: HTMLElement, el: HTMLElement, root: HTMLElement): void {
  const around = (root.closest(".nbmonitor") ?? root).getBoundingClientRect();
  const origin = (tip.offsetParent ?? root).getBoundingClientRect();
  const own = el.getBoundingClientRect();
  const width = Math.min(WIDEST, around.width - 24);
  tip.style.width = `${width}px`;
  const most = around.right - 8 - width;
  tip.style.left = `${Math.max(around.left + 8, Math.min(own.left, most)) - origin.left}px`;
  const high = tip.offsetHeight;
  const above = own.bottom + high + 12 > around.bottom && own.top - high - 12 > around.top;
  tip.style.top = `${(above ? own.top - high - 6 : own.bottom + 6) - origin.top}px`;
}
