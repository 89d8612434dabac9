/** Numbers of one matrix, and the matrices that changed most. Knows no stage. */

import { dotted, short } from "../format";
import { button, h, setAttr, setText } from "../view";
import { mostChanged, statistic } from "./filters";
import { Ranking } from "./ranking";
import type { Frame } from "./reel";
import type { MatrixMeta, ParametersMeta, StatisticName } from "./stage";

const LIST = 5;
const NAMES: Partial<Record<StatisticName, string>> = {
  l2: "‖W‖",
  sparsity: "sparse",
  grad_l2: "‖∇‖",
  grad_max: "max ∇",
  change_l2: "‖ΔW‖",
  change_max: "max Δ",
};

export interface MatrixBoxOptions {
  readonly choose: (matrix: MatrixMeta) => void;
  /** Ask for a matrix in full; null where nobody can be asked. */
  readonly ask: (matrix: MatrixMeta) => void;
  /** What became of asking, or "". */
  readonly answer: (matrix: MatrixMeta) => string;
  readonly visible: (id: number) => boolean;
  readonly signal: AbortSignal;
}

export class MatrixBox {
  readonly el = h("section", { class: "nbm-sidebox", "aria-label": "Matrices" });
  readonly #options: MatrixBoxOptions;
  readonly #name = h("b");
  readonly #what = h("div", { class: "nbm-side-note", tabindex: 0 });
  readonly #facts = h("div", { class: "nbm-facts nbm-statistics" });
  readonly #answer = h("span", { class: "nbm-side-note", "aria-live": "polite" });
  readonly #full: HTMLButtonElement;
  readonly #list: Ranking;
  readonly #note = h("span", { class: "nbm-side-note" });
  #meta: ParametersMeta | null = null;
  #matrix: MatrixMeta | null = null;

  constructor(options: MatrixBoxOptions) {
    this.#options = options;
    const ask = () => this.#matrix && options.ask(this.#matrix);
    const title = "Ask the kernel for every entry of this matrix, not a pooled picture";
    this.#full = button("full-matrix", "full resolution", title, ask, options.signal);
    this.#list = new Ranking("most", LIST, options.choose, options.signal);
    this.el.append(
      h("h4", { class: "nbm-sidehead" }, "Matrix"),
      h("div", { class: "nbm-token-head" }, this.#name, this.#full),
      this.#what,
      this.#facts,
      this.#answer,
      h("h4", { class: "nbm-sidehead" }, "Changed most", this.#note),
      this.#list.el,
    );
  }

  setMeta(meta: ParametersMeta): void {
    if (meta === this.#meta) return;
    this.#meta = meta;
    this.#matrix = null;
    this.#facts.replaceChildren(
      ...meta.statistics.map((name) => {
        const spec = { "data-explain": `statistic:${name}`, tabindex: 0, role: "note" };
        return h("span", spec, `${NAMES[name] ?? name} `, h("b"));
      }),
    );
  }

  /** Tell of `matrix`, if there is one, and of what changed most, in `frame`. */
  show(frame: Frame | null, matrix: MatrixMeta | null): void {
    const meta = this.#meta;
    if (!meta) return;
    const stats = frame?.stats ?? new Float32Array(0);
    const most = mostChanged(meta, stats, ({ id }) => this.#options.visible(id));
    // With nothing pointed at, what changed most is worth a look.
    const told = matrix ?? most[0]?.matrix ?? meta.matrices[0] ?? null;
    this.#matrix = matrix;
    setText(this.#name, told?.label ?? "–");
    setAttr(this.#name, "title", told?.name ?? null);
    const shape = told?.shape.join(" × ") ?? "";
    setAttr(this.#what, "data-explain", told ? `kind:${told.kind}` : null);
    setText(this.#what, told ? dotted(told.kind, told.role, shape) : "");
    this.#full.hidden = !matrix;
    setText(this.#answer, matrix ? this.#options.answer(matrix) : "");
    const row = told ? meta.matrices.indexOf(told) : -1;
    for (const [i, name] of meta.statistics.entries()) {
      const value = statistic(meta, stats, row, name);
      setText(this.#facts.children[i]!.lastElementChild!, Number.isNaN(value) ? "–" : short(value));
    }
    this.#tellMost(most.slice(0, LIST), frame);
  }

  #tellMost(most: ReturnType<typeof mostChanged>, frame: Frame | null): void {
    const none = frame && most.length === 0 ? "– the first" : "‖ΔW‖/‖W‖";
    setText(this.#note, none);
    const top = most[0]?.change || 1;
    const listed = most.map(({ matrix, change }) => ({
      matrix,
      part: change / top,
      text: short(change),
    }));
    this.#list.show(listed);
  }
}
