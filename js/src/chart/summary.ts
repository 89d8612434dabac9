/** The small note that a zoomed chart shows a summary of its old steps, with the reason. */

import { h, setAttr } from "../view";

/** Show the note at the front of `legend`, or take it away when `why` is "". */
export function showSummary(legend: HTMLElement, why: string): void {
  let note = legend.querySelector(".nbm-summary");
  if (!why) {
    note?.remove();
    return;
  }
  if (!note) {
    note = h("span", { class: "nbm-summary", "data-note": "summary" }, "summary resolution");
    legend.prepend(note);
  }
  setAttr(note, "title", why);
}
