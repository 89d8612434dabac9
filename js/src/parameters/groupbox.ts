/** The legend of clusters: colour, size and nearest tokens of each, and how they were found. */

import { dotted, grouped } from "../format";
import { h, setText } from "../view";
import { tokenText } from "./flat_overlay";
import type { Groups } from "./groups";
import type { ParametersMeta } from "./stage";

export class GroupBox {
  readonly el = h("details", { class: "nbm-groups", hidden: true });
  readonly #count = h("summary", { "data-control": "clusters" });
  readonly #how = h("p", { class: "nbm-side-note" });
  readonly #list = h("ol");
  #shown: readonly unknown[] = [];

  constructor() {
    this.el.append(this.#count, this.#how, this.#list);
  }

  /** Tell of `groups`; null where tokens aren't coloured by them. */
  show(groups: Groups | null, meta: ParametersMeta | null, hues: readonly string[]): void {
    this.el.hidden = !groups;
    const now = [groups, meta, hues];
    if (!groups || now.every((v, i) => v === this.#shown[i])) return;
    this.#shown = now;
    const { method, absent, step } = groups;
    setText(this.#count, `${groups.groups.length} clusters, by their nearest tokens`);
    setText(this.#how, dotted(method, `at step ${grouped(step)}`, absent && `because: ${absent}`));
    const texts = meta?.tokens?.texts ?? [];
    this.#list.replaceChildren(
      ...groups.groups.map(({ size, tokens }, label) => {
        const mark = h("i", { style: `background:${hues[label % hues.length]}` });
        const names = tokens.map((i) => tokenText(texts[i] ?? String(i))).join(" · ");
        return h("li", { title: names }, mark, h("span", {}, names), h("em", {}, grouped(size)));
      }),
    );
  }
}
