/** The small box beside a marker that says what happened there. */

import { h, setAttr, setText } from "../view";
import type { Nearby } from "./events";

export function makeTip(el: HTMLElement): HTMLElement {
  const tip = h("div", { class: "nbm-tip", "data-tip": true, hidden: true });
  el.append(tip);
  return tip;
}

/** Show what is `near` beside the pixel `at` of a chart `width` wide, or hide the box. */
export function fillTip(tip: HTMLElement, near: Nearby | null, at: number, width: number): void {
  tip.hidden = near === null;
  if (!near) return;
  const more = near.more > 0 ? [`and ${near.more} more`] : [];
  setText(tip, [...near.lines, ...more].join("\n"));
  // On the side that has more room.
  const right = at > width / 2;
  const gap = right ? width - at + 8 : at + 8;
  setAttr(tip, "style", `${right ? "right" : "left"}:${Math.round(gap)}px`);
}
