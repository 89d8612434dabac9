/** What the cards below the stage have in common: what they are told, their frame and their head. */

import type { FrameLoop } from "../frame";
import type { Palette } from "../paint";
import { h } from "../view";
import type { Change } from "./change";
import type { Frame } from "./reel";
import type { MatrixMeta, ParametersMeta } from "./stage";
import type { Station } from "./stations";

/** What there is to be told at a moment. */
export interface Seen {
  readonly meta: ParametersMeta;
  readonly stations: readonly Station[];
  /** The snapshot that is shown, or is nearer, and the other one that playback is between. */
  readonly frame: Frame;
  readonly other: Frame;
  readonly change: Change | null;
  /** Why there is no change, or "". */
  readonly why: string;
}

export interface CardOptions {
  readonly loop: FrameLoop;
  readonly palette: () => Palette;
  readonly choose: (matrix: MatrixMeta) => void;
  readonly signal: AbortSignal;
}

export interface Card {
  readonly el: HTMLElement;
  show(seen: Seen): void;
  /** The colours are others. */
  repaint(): void;
}

/** A frame with a head that explains itself; `side` stands at the end of the head. */
export function cardOf(id: string, title: string, side: Node, ...children: Node[]): HTMLElement {
  const name = h("span", { "data-explain": `insight:${id}`, tabindex: 0, role: "note" }, title);
  const head = h("h4", { class: "nbm-sidehead" }, name, side);
  const mark = { class: "nbm-sidebox nbm-insight", "aria-label": title, "data-insight": id };
  return h("section", mark, head, ...children);
}

/** Names, the first few of them. */
export function listed(names: readonly string[], most = 3): string {
  const more = names.length - most;
  return names.slice(0, most).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
