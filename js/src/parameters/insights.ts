/**
 * What all matrices tell together, below the stage: how the gradient flows, which updates are
 * alike, what has changed since the start, which units are dead or explode. Owns which moment the
 * cards are told of; each knows its own matter.
 */

import type { Palette } from "../paint";
import type { Store } from "../store";
import { h, setAttr } from "../view";
import type { Card, CardOptions, Seen } from "./card";
import { Changes } from "./change";
import type { Shot } from "./film";
import { FlowBox } from "./flowbox";
import { HealthBox } from "./health";
import { SimilarityBox } from "./similarity";
import { SinceBox } from "./since";
import type { ParametersMeta } from "./stage";
import { type Station, stationsOf } from "./stations";

export interface InsightsOptions extends CardOptions {
  readonly store: Store;
  /** Something that was asked for has been unpacked. */
  readonly changed: () => void;
}

export class Insights {
  readonly el: HTMLElement;
  readonly #changes: Changes;
  readonly #flow: FlowBox;
  readonly #cards: readonly Card[];
  #meta: ParametersMeta | null = null;
  #stations: readonly Station[] = [];
  #shown: readonly unknown[] = [];
  #palette: Palette | null = null;

  constructor(options: InsightsOptions) {
    this.#changes = new Changes(options.store, options.changed);
    this.#flow = new FlowBox(options);
    const [alike, since] = [new SimilarityBox(options), new SinceBox(options)];
    this.#cards = [this.#flow, since, alike, new HealthBox(options)];
    const mark = { class: "nbm-insights", "aria-label": "Insights" };
    this.el = h("section", mark, ...this.#cards.map(({ el }) => el));
  }

  setMeta(meta: ParametersMeta): void {
    this.#meta = meta;
    this.#stations = stationsOf(meta);
    this.#changes.reset();
    this.#shown = [];
  }

  /** Tell of the moment that is shown; `live` while that moves on by itself. */
  paint(shot: Shot | null, live: boolean, palette: Palette): void {
    this.#flow.live = live;
    const meta = this.#meta;
    if (!meta || !shot) return;
    const { a, b, t } = shot;
    const [frame, other] = t < 0.5 ? [a, b] : [b, a];
    const found = this.#changes.at(frame.step);
    // Also the first of a training that was resumed.
    const first = frame.index === 0 || found?.start === frame.step;
    const change = first ? null : found;
    if (palette !== this.#palette) this.#recolour(palette);
    const why = change ? "" : this.#why(first);
    const now = [meta, frame, other, change, why];
    if (now.every((v, i) => v === this.#shown[i])) return;
    this.#shown = now;
    const seen: Seen = { meta, stations: this.#stations, frame, other, change, why };
    for (const card of this.#cards) card.show(seen);
  }

  #recolour(palette: Palette): void {
    this.#palette = palette;
    for (const card of this.#cards) card.repaint();
    const colours = `background:linear-gradient(90deg,${palette.heat.join()})`;
    for (const ramp of this.el.querySelectorAll(".nbm-scale > i")) setAttr(ramp, "style", colours);
  }

  #why(first: boolean): string {
    if (first) return "– this is the start, with which all that follows is compared";
    return this.#changes.some
      ? "– not known at this step"
      : "– there are no samples of units here: an older run, or a small copy of one";
  }
}
