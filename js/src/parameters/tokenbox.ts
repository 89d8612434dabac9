/**
 * Finding tokens, and what is known of the chosen ones: a search field, what it found, the tokens
 * that are followed, and numbers of the selected one. Knows no stage.
 */

import { short } from "../format";
import { button, h, setAttr, setText } from "../view";
import { tokenText } from "./flat_overlay";
import { NEIGHBOURS_LABEL, neighboursOf } from "./neighbours";
import type { Frame } from "./reel";
import { search } from "./search";
import type { ColourBy, ParametersMeta } from "./stage";

/** Tokens that can be followed at a time: as many as the palette has hues. */
export const MOST_TRAILS = 8;

export interface TokenBoxOptions {
  readonly select: (token: number | null) => void;
  readonly trail: (token: number) => void;
  readonly hues: () => readonly string[];
  readonly signal: AbortSignal;
}

export class TokenBox {
  readonly el = h("section", { class: "nbm-sidebox", "aria-label": "Tokens" });
  readonly #options: TokenBoxOptions;
  readonly #input = h("input", {
    class: "nbm-input nbm-search",
    type: "search",
    placeholder: "search a token…",
    "data-control": "search-token",
    "aria-label": "Search a token",
    autocomplete: "off",
    spellcheck: "false",
  });
  readonly #found = h("div", { class: "nbm-found", "aria-live": "polite" });
  readonly #trails = h("div", {
    class: "nbm-found",
    role: "group",
    "aria-label": "Followed tokens",
  });
  readonly #about = h("div", { class: "nbm-token" });
  readonly #count = h("span", { class: "nbm-side-note" });
  #meta: ParametersMeta | null = null;
  #shown = "";
  #followed = "";
  #lists: (AbortController | null)[] = [null, null, null];

  constructor(options: TokenBoxOptions) {
    this.#options = options;
    const { signal } = options;
    this.#input.addEventListener("input", () => this.#find(), { signal });
    this.#input.addEventListener(
      "keydown",
      (event) => {
        if (event.key === "Enter") {
          const first = search(this.#meta?.tokens?.texts ?? [], this.#input.value, 1)[0];
          if (first !== undefined) options.select(first);
        } else if (event.key === "Escape" && this.#input.value !== "") {
          this.#input.value = "";
          this.#find();
        } else return;
        event.preventDefault();
        event.stopPropagation();
      },
      { signal },
    );
    this.el.append(
      h("h4", { class: "nbm-sidehead" }, "Tokens", this.#count),
      this.#input,
      this.#found,
      this.#trails,
      this.#about,
    );
    signal.addEventListener(
      "abort",
      () => {
        for (const list of this.#lists) list?.abort();
      },
      { once: true },
    );
  }

  setMeta(meta: ParametersMeta): void {
    if (meta === this.#meta) return;
    this.#meta = meta;
    const { tokens } = meta;
    this.#input.disabled = tokens === null;
    const few = tokens && tokens.count < tokens.vocabulary;
    const part = few ? ` of ${tokens.vocabulary.toLocaleString("en")}` : "";
    setText(this.#count, tokens ? `${tokens.count.toLocaleString("en")}${part}` : "–");
    setAttr(
      this.#count,
      "title",
      few ? "a sample of the vocabulary, evenly by kind of token" : null,
    );
    this.#shown = this.#followed = "";
    this.#find();
  }

  #chips(
    slot: number,
    el: HTMLElement,
    tokens: readonly number[],
    make: (token: number, signal: AbortSignal) => HTMLElement,
  ): void {
    this.#lists[slot]?.abort();
    const own = new AbortController();
    this.#lists[slot] = own;
    el.replaceChildren(...tokens.map((token) => make(token, own.signal)));
  }

  #text(token: number): string {
    return tokenText(this.#meta?.tokens?.texts[token] ?? String(token));
  }

  #find(): void {
    const texts = this.#meta?.tokens?.texts ?? [];
    const found = search(texts, this.#input.value);
    this.#chips(0, this.#found, found, (token, signal) =>
      button(
        `token-${token}`,
        this.#text(token),
        "Fly to it",
        () => this.#options.select(token),
        signal,
      ),
    );
    if (found.length === 0 && this.#input.value.trim() !== "") {
      const few = this.#meta?.tokens && texts.length < this.#meta.tokens.vocabulary;
      const why = few ? "not among the sampled tokens" : "no such token";
      this.#found.replaceChildren(h("span", { class: "nbm-side-note" }, why));
    }
  }

  /** Tell what is selected and followed; `frame` is the snapshot that is shown. */
  show(frame: Frame | null, selected: number | null, trails: readonly number[]): void {
    const followed = `${trails.join()}|${selected}|${this.#options.hues().join()}`;
    if (followed !== this.#followed) {
      this.#followed = followed;
      this.#chips(1, this.#trails, trails, (token, signal) => {
        const title = "Followed: press to stop";
        const el = button(
          `trail-${token}`,
          `${this.#text(token)} ×`,
          title,
          () => this.#options.trail(token),
          signal,
        );
        const hues = this.#options.hues();
        setAttr(el, "style", `border-color:${hues[trails.indexOf(token) % hues.length]}`);
        return el;
      });
    }
    const shown = `${frame?.step}|${frame?.basis}|${selected}|${trails.includes(selected ?? -1)}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#tell(frame, selected, trails);
  }

  #tell(frame: Frame | null, selected: number | null, trails: readonly number[]): void {
    const tokens = this.#meta?.tokens;
    if (!tokens) {
      const why = this.#meta?.absent.tokens ?? "the model has no token embedding";
      this.#about.replaceChildren(h("span", { class: "nbm-side-note" }, `– ${why}`));
      return;
    }
    if (selected === null) {
      const hint = "Point at a token for its name; choose one to see its neighbours and its way.";
      this.#about.replaceChildren(h("span", { class: "nbm-side-note" }, hint));
      return;
    }
    const value = (name: Exclude<ColourBy, "cluster">) => {
      const [data, range] = [frame?.[name], frame?.ranges?.[name]];
      if (!data || !range) return "–";
      const [low, high] = range;
      return short(low + ((high - low) * data[selected]!) / 255);
    };
    const fact = (name: string, text: string, title: string) =>
      h("span", { title }, `${name} `, h("b", {}, text));
    const near = frame?.tokens ? neighboursOf(frame.tokens, selected, 6) : [];
    this.#lists[2]?.abort();
    const own = new AbortController();
    this.#lists[2] = own;
    const on = trails.includes(selected);
    const follow = button(
      "follow-token",
      on ? "following" : "follow",
      "Draw its way over the training",
      () => this.#options.trail(selected),
      own.signal,
    );
    setAttr(follow, "aria-pressed", String(on));
    const clear = button(
      "clear-token",
      "×",
      "Select none",
      () => this.#options.select(null),
      own.signal,
    );
    this.#about.replaceChildren(
      h("div", { class: "nbm-token-head" }, h("b", {}, this.#text(selected)), follow, clear),
      h(
        "div",
        { class: "nbm-facts" },
        fact("id", String(tokens.ids[selected] ?? "–"), "number in the vocabulary"),
        fact("kind", tokens.strata_names[tokens.strata[selected] ?? -1] ?? "–", "kind of token"),
        fact("norm", value("norm"), "length of its embedding, in full width"),
        fact("moved", value("moved"), "way since the snapshot before, in full width"),
        fact("since", value("since"), "way since the run's first snapshot, in full width"),
        fact(
          "freq.",
          value("frequency"),
          "share in the batches seen so far, on a logarithmic scale",
        ),
      ),
      h("div", { class: "nbm-side-note" }, NEIGHBOURS_LABEL),
      h(
        "div",
        { class: "nbm-found" },
        ...near.map(({ index, cosine }) => {
          const title = `cosine ${cosine.toFixed(3)}`;
          return button(
            `near-${index}`,
            this.#text(index),
            title,
            () => this.#options.select(index),
            own.signal,
          );
        }),
      ),
    );
  }
}
