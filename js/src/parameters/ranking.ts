/** A short list of matrices with a bar and a number each, to go to. Knows not what the number is. */

import { button, h, setAttr, setText } from "../view";
import type { MatrixMeta } from "./stage";

export interface Ranked {
  readonly matrix: MatrixMeta;
  /** Length of the bar, 0 to 1. */
  readonly part: number;
  readonly text: string;
  /** What more there is to say of it. */
  readonly title?: string;
}

export class Ranking {
  readonly el = h("ol", { class: "nbm-most" });
  readonly #rows: HTMLButtonElement[] = [];
  #listed: readonly Ranked[] = [];

  constructor(id: string, most: number, choose: (m: MatrixMeta) => void, signal: AbortSignal) {
    for (let i = 0; i < most; i++) {
      const go = () => {
        const at = this.#listed[i];
        if (at) choose(at.matrix);
      };
      const row = button(`${id}-${i}`, "", "", go, signal);
      row.append(h("span"), h("i"), h("em"));
      this.#rows.push(row);
      this.el.append(h("li", { hidden: true }, row));
    }
  }

  show(listed: readonly Ranked[]): void {
    this.#listed = listed;
    for (const [i, row] of this.#rows.entries()) {
      const at = listed[i];
      (row.parentElement as HTMLElement).hidden = !at;
      if (!at) continue;
      const [name, bar, value] = [...row.children] as [HTMLElement, HTMLElement, HTMLElement];
      setText(name, at.matrix.label);
      setAttr(bar, "style", `--part:${at.part.toFixed(3)}`);
      setText(value, at.text);
      setAttr(row, "title", `${at.matrix.name}: ${at.title ?? "show it"}`);
    }
  }
}
