/** How the stage shows what it shows: colours, what is in it, which axes, flat or in 3-D. */

import { button, h, setAttr, setText } from "../view";
import type { Choices } from "./chosen";
import type { ColourBy } from "./stage";

const COLOURS: readonly [ColourBy, string, string][] = [
  ["norm", "norm", "Colour by the length of the embedding"],
  ["cluster", "cluster", "Colour by clusters of tokens: how they were found stands below"],
  ["moved", "moved", "Colour by the way since the snapshot before"],
  ["since", "since", "Colour by the way since the start of the run, in full width"],
  ["frequency", "freq.", "Colour by how often the token was in the batches"],
];

export interface LookState extends Choices {
  stage: "scene" | "flat";
  /** Why there is no scene, or "". */
  why: string;
  /** Whether all snapshots are shown in one set of axes. */
  fixed: boolean;
  /** What is to be said of that, or "". */
  basis: string;
  hasTokens: boolean;
  hasPositions: boolean;
  has: (by: ColourBy) => boolean;
}

export interface LookBoxOptions {
  readonly choose: (change: Partial<Choices>) => void;
  readonly stage: (wanted: "scene" | "flat") => void;
  readonly fix: (on: boolean) => void;
  readonly reset: () => void;
  readonly signal: AbortSignal;
}

export class LookBox {
  readonly el = h("section", { class: "nbm-sidebox nbm-lookbox", "aria-label": "View" });
  readonly #colours = new Map<ColourBy, HTMLButtonElement>();
  readonly #toggles: Record<"tokens" | "positions" | "shared" | "fixed", HTMLButtonElement>;
  readonly #stages: Record<"scene" | "flat", HTMLButtonElement>;
  readonly #why = h("div", { class: "nbm-side-note", hidden: true });
  readonly #basis = h("div", { class: "nbm-side-note", "aria-live": "polite", hidden: true });
  #state: LookState | null = null;

  constructor(options: LookBoxOptions) {
    const { choose, signal } = options;
    const colours = h("div", { class: "nbm-seg", role: "group", "aria-label": "Colour by" });
    for (const [by, text, title] of COLOURS) {
      const el = button(`colour-${by}`, text, title, () => choose({ colourBy: by }), signal);
      this.#colours.set(by, el);
      colours.append(el);
    }
    const now = () => this.#state as LookState;
    this.#toggles = {
      tokens: button(
        "show-tokens",
        "tokens",
        "Show the token embeddings",
        () => choose({ showTokens: !now().showTokens }),
        signal,
      ),
      positions: button(
        "show-positions",
        "positions",
        "Show the position embeddings",
        () => choose({ showPositions: !now().showPositions }),
        signal,
      ),
      shared: button(
        "shared-scale",
        "one scale",
        "One range of colours for all heatmaps; off, each has its own",
        () => choose({ shared: !now().shared }),
        signal,
      ),
      fixed: button(
        "one-basis",
        "one basis",
        "All snapshots along the axes of the newest; off, each along its own, turned to the one before",
        () => options.fix(!now().fixed),
        signal,
      ),
    };
    this.#stages = {
      scene: button("stage-scene", "3D", "pythreejs scene", () => options.stage("scene"), signal),
      flat: button("stage-flat", "2D", "flat canvas", () => options.stage("flat"), signal),
    };
    const { tokens, positions, shared, fixed } = this.#toggles;
    const reset = button(
      "reset-view",
      "reset view",
      "Show everything again",
      options.reset,
      signal,
    );
    this.el.append(
      h("h4", { class: "nbm-sidehead" }, "View"),
      h("div", { class: "nbm-siderow" }, h("span", {}, "colour"), colours),
      h("div", { class: "nbm-kinds" }, tokens, positions, shared, fixed),
      h(
        "div",
        { class: "nbm-siderow" },
        h("div", { class: "nbm-seg" }, this.#stages.scene, this.#stages.flat),
        reset,
      ),
      this.#why,
      this.#basis,
    );
  }

  show(state: LookState): void {
    this.#state = state;
    for (const [by, el] of this.#colours) {
      setAttr(el, "aria-pressed", String(by === state.colourBy));
      el.disabled = !state.has(by);
    }
    const { tokens, positions, shared, fixed } = this.#toggles;
    setAttr(tokens, "aria-pressed", String(state.showTokens && state.hasTokens));
    setAttr(positions, "aria-pressed", String(state.showPositions && state.hasPositions));
    setAttr(shared, "aria-pressed", String(state.shared));
    setAttr(fixed, "aria-pressed", String(state.fixed));
    tokens.disabled = !state.hasTokens;
    positions.disabled = !state.hasPositions;
    this.#basis.hidden = state.basis === "";
    setText(this.#basis, state.basis);
    for (const name of ["scene", "flat"] as const) {
      setAttr(this.#stages[name], "aria-pressed", String(name === state.stage));
    }
    this.#why.hidden = state.why === "";
    setText(this.#why, state.why ? `2D because: ${state.why}` : "");
  }
}
