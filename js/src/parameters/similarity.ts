/** The card of likeness: linear CKA between the updates of matrices that read the same stream. */

import { dotted } from "../format";
import { h, setText } from "../view";
import { Board, type Cell } from "./board";
import { type Card, type CardOptions, cardOf, listed, type Seen } from "./card";
import { drawCells } from "./cells";
import type { MatrixMeta } from "./stage";

interface Alike {
  readonly matrices: readonly MatrixMeta[];
  /** Row by row, in the order of `matrices`. */
  readonly values: Float32Array;
  readonly chance: number;
  /** Rows that begin another kind. */
  readonly breaks: readonly number[];
}

/** The likeness with matrices of one use together, layer after layer. */
export function alike({ meta, change }: Pick<Seen, "meta" | "change">): Alike | null {
  const given = change?.similarity;
  if (!given) return null;
  const k = given.ids.length;
  const uses: string[] = [];
  const found = given.ids.flatMap((id, at) => {
    const matrix = meta.matrices.find((m) => m.id === id);
    if (!matrix) return [];
    const use = `${matrix.stack} ${matrix.kind} ${matrix.role}`;
    if (!uses.includes(use)) uses.push(use);
    return [{ matrix, at, use: uses.indexOf(use) }];
  });
  found.sort((a, b) => a.use - b.use || a.at - b.at);
  return {
    matrices: found.map(({ matrix }) => matrix),
    values: Float32Array.from(
      found.flatMap((a) => found.map((b) => given.values[a.at * k + b.at]!)),
    ),
    chance: given.chance,
    breaks: found.flatMap(({ use }, i) => (i > 0 && use !== found[i - 1]!.use ? [i] : [])),
  };
}

const shortName = ({ layer, role, kind }: MatrixMeta) => `${layer ?? ""} ${role || kind}`.trim();

export class SimilarityBox implements Card {
  readonly el: HTMLElement;
  readonly #board: Board;
  readonly #scale: HTMLElement;
  readonly #note = h("p", { class: "nbm-side-note" });
  #seen: Seen | null = null;
  #alike: Alike | null = null;

  constructor(options: CardOptions) {
    this.#board = new Board({
      ...options,
      id: "similarity",
      label: "Similarity of updates",
      draw: (drawing) => {
        const now = this.#alike;
        if (!now) return null;
        const { values, breaks } = now;
        const rows = now.matrices.map(shortName);
        return drawCells(drawing, { values, top: 1, rows, columns: [], widest: 1.6, breaks });
      },
      tell: (at) => this.#tell(at),
      chosen: ([row]) => {
        const matrix = this.#alike?.matrices[row];
        if (matrix) options.choose(matrix);
      },
    });
    const { box, told } = this.#board;
    this.#scale = h("span", { class: "nbm-scale" }, "0", h("i"), "1");
    this.el = cardOf("similarity", "Similarity of updates", this.#scale, box, told, this.#note);
  }

  repaint(): void {
    this.#board.dirty();
  }

  show(seen: Seen): void {
    this.#seen = seen;
    this.#alike = alike(seen);
    this.#board.show(this.#alike !== null);
    this.#scale.hidden = !this.#alike;
    const { meta, change } = seen;
    const names = (ids: readonly number[] = []) =>
      listed(meta.matrices.filter(({ id }) => ids.includes(id)).map(({ label }) => label));
    const [frozen, broken] = [names(change?.frozen), names(change?.broken)];
    setText(
      this.#note,
      dotted(frozen && `not moved: ${frozen}`, broken && `not finite: ${broken}`),
    );
  }

  #tell(at: Cell | null): string {
    const [seen, now] = [this.#seen, this.#alike];
    if (!now) return seen?.why || "– nothing to compare: fewer than two of these have moved yet";
    const k = now.matrices.length;
    const chance = now.chance > 0 && `chance ${now.chance.toFixed(2)}`;
    if (!at) {
      const sum = now.values.reduce((all, v) => all + v, 0) - k;
      const mean = k > 1 && `mean ${(sum / (k * k - k)).toFixed(2)}`;
      return dotted(`CKA of ${k} matrices`, mean, chance);
    }
    const [a, b] = [now.matrices[at[0]], now.matrices[at[1]]];
    const value = now.values[at[0] * k + at[1]] ?? Number.NaN;
    return a && b ? `${a.label} ↔ ${b.label}: ${value.toFixed(2)}` : "";
  }
}
