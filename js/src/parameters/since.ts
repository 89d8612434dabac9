/** The card of what has changed since the start: kinds by layers, and what has changed most. */

import { dotted, grouped, short } from "../format";
import { h, setText } from "../view";
import { Board, type Cell } from "./board";
import { type Card, type CardOptions, cardOf, type Seen } from "./card";
import { drawCells } from "./cells";
import { unit } from "./change";
import { Ranking } from "./ranking";
import type { Kind } from "./stage";

const MOST = 5;

interface Table {
  readonly kinds: readonly Kind[];
  /** Mean over the matrices of a kind at a station, kind by kind; NaN where there is none. */
  readonly values: Float64Array;
  readonly counts: Uint16Array;
  readonly top: number;
}

/** Mean relative change of each kind at each station. */
export function sinceTable({
  meta,
  stations,
  change,
}: Pick<Seen, "meta" | "stations" | "change">): Table {
  const known = (row: number) => !Number.isNaN(unit(change, row, "since"));
  const kinds = meta.kinds.filter((kind) =>
    meta.matrices.some((matrix, row) => matrix.kind === kind && known(row)),
  );
  const n = stations.length;
  const values = new Float64Array(kinds.length * n);
  const counts = new Uint16Array(kinds.length * n);
  for (const [column, { rows }] of stations.entries()) {
    for (const row of rows) {
      const at = kinds.indexOf(meta.matrices[row]!.kind) * n + column;
      if (!known(row) || at < 0) continue;
      values[at] = values[at]! + unit(change, row, "since");
      counts[at] = counts[at]! + 1;
    }
  }
  let top = 0;
  for (const [i, count] of counts.entries()) {
    values[i] = count > 0 ? values[i]! / count : Number.NaN;
    if (Number.isFinite(values[i]) && values[i]! > top) top = values[i]!;
  }
  return { kinds, values, counts, top };
}

export class SinceBox implements Card {
  readonly el: HTMLElement;
  readonly #board: Board;
  readonly #top = h("span");
  readonly #scale: HTMLElement;
  readonly #list: Ranking;
  #seen: Seen | null = null;
  #table: Table | null = null;
  /** The most that was shown of this model: its scale stays as playback goes to and fro. */
  #most = 0;

  constructor(options: CardOptions) {
    this.#board = new Board({
      ...options,
      id: "since",
      label: "Changed since the start",
      draw: (drawing) => {
        const [seen, table] = [this.#seen, this.#table];
        if (!seen || !table || table.kinds.length === 0) return null;
        const { values, kinds: rows } = table;
        const top = this.#most;
        const columns = seen.stations.map((s) => s.short);
        return drawCells(drawing, { values, top, rows, columns });
      },
      tell: (at) => this.#tell(at),
      chosen: ([row, station]) => {
        const { meta, stations } = this.#seen ?? {};
        const own = stations?.[station]?.rows.map((r) => meta!.matrices[r]!) ?? [];
        const matrix = own.find(({ kind }) => kind === this.#table?.kinds[row]);
        if (matrix) options.choose(matrix);
      },
    });
    this.#list = new Ranking("since", MOST, options.choose, options.signal);
    const { box, told } = this.#board;
    this.#scale = h("span", { class: "nbm-scale" }, "0", h("i"), this.#top);
    const title = "Changed since the start";
    this.el = cardOf("since", title, this.#scale, box, told, this.#list.el);
  }

  repaint(): void {
    this.#board.dirty();
  }

  show(seen: Seen): void {
    const { meta, change } = seen;
    if (meta !== this.#seen?.meta) this.#most = 0;
    this.#seen = seen;
    this.#table = sinceTable(seen);
    const { top, kinds } = this.#table;
    this.#most = Math.max(this.#most, top);
    this.#board.show(kinds.length > 0);
    this.#scale.hidden = kinds.length === 0;
    setText(this.#top, short(this.#most));
    const most = meta.matrices
      .map((matrix, row) => ({ matrix, value: unit(change, row, "since") }))
      .filter(({ value }) => value > 0)
      .sort((a, b) => b.value - a.value)
      .slice(0, MOST);
    const first = most[0]?.value ?? 1;
    const part = (v: number) => (v === first ? 1 : v / first);
    this.#list.show(
      most.map(({ matrix, value }) => ({ matrix, part: part(value), text: short(value) })),
    );
  }

  #tell(at: Cell | null): string {
    const [seen, table] = [this.#seen, this.#table];
    if (!seen || !table || table.kinds.length === 0) return seen?.why ?? "";
    if (!at) {
      const start = seen.change?.start ?? Number.NaN;
      return dotted("‖W−W₀‖/‖W₀‖", Number.isFinite(start) && `against step ${grouped(start)}`);
    }
    const n = seen.stations.length;
    const [kind, station] = [table.kinds[at[0]], seen.stations[at[1]]];
    const i = at[0] * n + at[1];
    const value = table.values[i] ?? Number.NaN;
    const count = table.counts[i] ?? 0;
    if (count === 0) return `${station?.name}, ${kind}: – none`;
    return `${station?.name}, ${kind}: ${short(value)}${count > 1 ? `, mean of ${count} matrices` : ""}`;
  }
}
