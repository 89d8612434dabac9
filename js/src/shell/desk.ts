/** What the parts of the toolbar share: how a control looks, and what a wish is called. */

import type { Controls, Wish } from "../controls";
import { grouped, short } from "../format";
import type { Live } from "../model";
import { button, h, setAttr } from "../view";
import { icon } from "./popover";

const ICONS = {
  pause: "M2 1h2v8H2zM6 1h2v8H6z",
  resume: "M2 1l7 4-7 4z",
  checkpoint: "M4 1h2v3h2L5 7 2 4h2zM1 8h8v1H1z",
  evaluate: "M1 6h2v3H1zM4 3h2v6H4zM7 1h2v8H7z",
  "learning-rate": "M1 2h2V1h2v1h4v1H5v1H3V3H1zM1 7h4V6h2v1h2v1H7v1H5V8H1z",
  cadence: "M1 2h1v6H1zM3.3 5h1v3h-1zM5.7 5h1v3h-1zM8 2h1v6H8z",
  stop: "M1 1h8v8H1z",
} as const;

/** What all parts of the toolbar share. */
export interface Desk {
  readonly live: Live;
  readonly controls: Controls;
  readonly signal: AbortSignal;
  /** A button with a picture and a label, which is shorter where there is little room. */
  make(id: keyof typeof ICONS, label: string, brief: string, press: () => void): HTMLButtonElement;
}

/** A wish in words: "learning rate × 0.5". */
export function wishText({ name, value }: Pick<Wish, "name" | "value">): string {
  const given = (value ?? {}) as { multiply?: number; set?: number; logging_steps?: number };
  switch (name) {
    case "learning_rate":
      if (given.multiply !== undefined) return `learning rate × ${given.multiply}`;
      return given.set === undefined ? "learning rate" : `learning rate ${short(given.set)}`;
    case "undo_learning_rate":
      return "undo learning rate";
    case "save_and_stop":
      return "save, then stop";
    case "cadence":
      return given.logging_steps === undefined
        ? "cadence"
        : `logging every ${grouped(given.logging_steps)} steps`;
    default:
      return name.replaceAll("_", " ");
  }
}

export function makeDesk(live: Live, controls: Controls, signal: AbortSignal): Desk {
  return {
    live,
    controls,
    signal,
    make(id, label, brief, press) {
      const el = button(id, "", "", press, signal);
      el.append(
        icon(ICONS[id]),
        h("span", { class: "nbm-long" }, label),
        h("span", { class: "nbm-brief" }, brief),
      );
      setAttr(el, "aria-label", label.toLowerCase());
      return el;
    },
  };
}

/** Show on `el` whether one of `names` can be asked for, and whether one is on its way. */
export function showWish(
  desk: Desk,
  el: HTMLButtonElement,
  hint: string,
  ...names: string[]
): void {
  const obstacles = names.map((name) => desk.controls.obstacle(name));
  const free = obstacles.includes("");
  el.disabled = !free;
  setAttr(el, "title", free ? hint : (obstacles[0] ?? ""));
  setAttr(el, "data-wish", desk.controls.open(...names)?.state ?? null);
}
