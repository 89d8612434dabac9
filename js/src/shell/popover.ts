/** A button with a small box under it: opening, closing, keys and focus. Knows no content. */

import { h, keepKeys, setAttr } from "../view";

export interface Popover {
  /** The button and its box, to be placed together. */
  readonly el: HTMLElement;
  readonly box: HTMLElement;
  close(): void;
}

const NS = "http://www.w3.org/2000/svg";

/** A 10 × 10 picture of one path in the colour of the text. */
export function icon(path: string): Element {
  const svg = document.createElementNS(NS, "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 10 10", "aria-hidden": "true" })) {
    svg.setAttribute(name, value);
  }
  const shape = document.createElementNS(NS, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

/** Buttons and fields of `box` that can be reached now. */
function stops(box: HTMLElement): HTMLElement[] {
  return [...box.querySelectorAll<HTMLElement>("button, input")].filter(
    (el) => !el.hasAttribute("disabled") && !el.closest("[hidden]"),
  );
}

/** Tie `box` to `anchor`; `opened` and `closed` bring the content up to date. */
export function popover(
  anchor: HTMLButtonElement,
  box: HTMLElement,
  signal: AbortSignal,
  opened: () => void = () => {},
  closed: () => void = () => {},
): Popover {
  const el = h("span", { class: "nbm-menu" }, anchor, box);
  let open: AbortController | null = null;
  box.classList.add("nbm-pop");
  box.hidden = true;
  setAttr(anchor, "aria-haspopup", "true");
  setAttr(anchor, "aria-expanded", "false");
  keepKeys(el, signal);

  const close = () => {
    if (!open) return;
    open.abort();
    open = null;
    const within = box.contains(document.activeElement);
    box.hidden = true;
    setAttr(anchor, "aria-expanded", "false");
    closed();
    if (within) anchor.focus();
  };
  const show = () => {
    open = new AbortController();
    opened();
    box.hidden = false;
    setAttr(anchor, "aria-expanded", "true");
    place(el, box);
    stops(box)[0]?.focus();
    document.addEventListener(
      "pointerdown",
      (event) => {
        if (!event.composedPath().includes(el)) close();
      },
      { signal: open.signal, capture: true },
    );
  };
  signal.addEventListener("abort", () => open?.abort(), { once: true });
  anchor.addEventListener("click", () => (open ? close() : show()), { signal });
  el.addEventListener(
    "keydown",
    (event) => {
      if (!open) return;
      if (event.key === "Escape") {
        close();
        anchor.focus();
      } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        const all = stops(box);
        const at = all.indexOf(document.activeElement as HTMLElement);
        const by = event.key === "ArrowDown" ? 1 : -1;
        all[(at + by + all.length) % all.length]?.focus();
      } else return;
      event.preventDefault();
    },
    { signal },
  );
  return { el, box, close };
}

/** Move the box so that it stays within the dashboard. */
function place(el: HTMLElement, box: HTMLElement): void {
  box.style.left = "0";
  const root = el.closest(".nbmonitor")?.getBoundingClientRect();
  const { left, right } = box.getBoundingClientRect();
  if (!root) return;
  const over = Math.max(0, right - root.right + 8);
  const shift = Math.min(over, Math.max(0, left - root.left - 8));
  box.style.left = `${-Math.round(shift)}px`;
}
