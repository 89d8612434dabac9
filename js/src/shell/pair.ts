/**
 * Dashboards side by side: what a viewer chooses in one holds for those beside it. They find each
 * other by the element that they stand in (`nbmonitor/beside.py` makes it), and tell by an event
 * of the document: each widget has a module of its own, so that they share nothing else. No kernel
 * is asked, none is needed.
 */

import type { Topic, UiState } from "../ui";

const PAIR = ".nbmonitor-pair";
const TOLD = "nbmonitor:beside";
/** Tab, part of the run, step, and for parameters: who plays, and where the viewer stands. */
const FOLLOWED = ["tab", "range", "cursor", "lead", "camera"] as const satisfies Topic[];

interface Told {
  readonly pair: Element;
  readonly from: HTMLElement;
  readonly topic: (typeof FOLLOWED)[number];
  readonly value: unknown;
}

/** Tie the dashboard at `root` to those beside it, until `signal` aborts. */
export function followNeighbours(root: HTMLElement, ui: UiState, signal: AbortSignal): void {
  let hearing = false;
  // Looked up each time: a host puts the element into the page after it has been filled.
  const pairOf = () => root.closest(PAIR);
  for (const topic of FOLLOWED) {
    const tell = () => {
      const pair = hearing ? null : pairOf();
      if (!pair) return;
      const detail: Told = { pair, from: root, topic, value: ui.get(topic) };
      document.dispatchEvent(new CustomEvent(TOLD, { detail }));
    };
    ui.on(topic, tell, signal);
  }
  const hear = (event: Event) => {
    const { pair, from, topic, value } = (event as CustomEvent<Told>).detail;
    if (from === root || pair !== pairOf()) return;
    hearing = true;
    try {
      ui.set(topic, value as never);
    } finally {
      hearing = false;
    }
  };
  document.addEventListener(TOLD, hear, { signal });
}
