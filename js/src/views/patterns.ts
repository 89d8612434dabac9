/** Share of right answers by pattern and length, with its interval; a cell opens its failures. */

import { dotted, grouped, withUnit } from "../format";
import { ink, ramp } from "../paint";
import type { Tensor } from "../tensor";
import { h, keepKeys, onTensor, setAttr, setText, type View } from "../view";

const KEY = "fixed_eval/patterns";

interface Interval {
  low?: number | null;
  high?: number | null;
}

interface Cell extends Interval {
  seen: number;
  correct: number;
}

interface Failing {
  prompt: string;
  expected: string;
  got: string;
}

interface Meta {
  patterns?: string[];
  bins?: string[];
  cells?: Record<string, Interval>;
  rows?: Cell[];
  columns?: Cell[];
  total?: Cell;
  failing?: Record<string, Failing[]>;
  labelled?: string;
  /** What the lengths count. */
  length?: string;
}

/** One place of the table: a pattern or all of them, a length or all of them. */
interface Place {
  id: string;
  pattern: string;
  bin: string;
  cell: Cell;
}

/** The table as rows of places, totals last. */
export function tableOf({ data, shape, meta }: Tensor): Place[][] {
  const { patterns = [], bins = [], cells = {}, rows = [], columns = [], total } = meta as Meta;
  const wide = shape[1] ?? bins.length;
  const none: Cell = { seen: 0, correct: 0 };
  const out = patterns.map((pattern, p) => {
    const own = bins.map((bin, l) => {
      const [seen = 0, correct = 0] = [data[(p * wide + l) * 2], data[(p * wide + l) * 2 + 1]];
      const id = `${p},${l}`;
      return { id, pattern, bin, cell: { seen, correct, ...cells[id] } };
    });
    return [...own, { id: `${p},*`, pattern, bin: "all", cell: rows[p] ?? none }];
  });
  const foot = bins.map((bin, l) => ({
    id: `*,${l}`,
    pattern: "all",
    bin,
    cell: columns[l] ?? none,
  }));
  return [...out, [...foot, { id: "*,*", pattern: "all", bin: "all", cell: total ?? none }]];
}

const percent = (part: number) => `${Math.round(part * 100)} %`;

function interval({ low, high }: Interval): string {
  if (typeof low !== "number" || typeof high !== "number") return "";
  return `${Math.round(low * 100)}–${Math.round(high * 100)}`;
}

/** A place in words. */
function told({ id, pattern, bin, cell }: Place): string {
  const [p, l] = id.split(",");
  const where = `${p === "*" ? "all patterns" : pattern}, ${l === "*" ? "all lengths" : `${bin} tokens`}`;
  if (cell.seen === 0) return `${where}: no examples`;
  const range = interval(cell);
  const sure = range ? ` (95 % interval ${range} %)` : "";
  const right = withUnit(cell.correct / cell.seen, "ratio");
  return `${where}: ${grouped(cell.correct)} of ${grouped(cell.seen)} right, ${right}${sure}`;
}

/** The failures of a place; a total has those of its cells. */
function failuresOf(meta: Meta, id: string): Failing[] {
  const [p, l] = id.split(",");
  return Object.entries(meta.failing ?? {})
    .filter(([key]) => {
      const [kp, kl] = key.split(",");
      return (p === "*" || p === kp) && (l === "*" || l === kl);
    })
    .flatMap(([, all]) => all)
    .slice(0, 20);
}

function filled(td: HTMLElement, place: Place, stops: readonly string[], open: boolean): void {
  const { cell } = place;
  const em = cell.seen > 0 ? cell.correct / cell.seen : Number.NaN;
  const button = td.firstElementChild as HTMLElement;
  const total = place.id.includes("*");
  setAttr(td, "data-total", total ? "" : null);
  setAttr(button, "aria-label", told(place));
  setAttr(button, "title", told(place));
  setAttr(button, "aria-expanded", cell.seen > 0 ? String(open) : null);
  const [value, count, whisker] = [...button.children] as HTMLElement[];
  if (Number.isNaN(em)) {
    setAttr(button, "style", null);
    setAttr(button, "data-none", "");
    setText(value!, "no examples");
    setText(count!, "");
    whisker!.hidden = true;
    return;
  }
  const color = ramp(stops, 0.06 + 0.94 * em);
  setAttr(button, "data-none", null);
  // A total stands beside the colours, not among them.
  setAttr(button, "style", total ? null : `background:${color};color:${ink(color)}`);
  setText(value!, percent(em));
  setText(count!, `n ${grouped(cell.seen)}`);
  const known = typeof cell.low === "number" && typeof cell.high === "number";
  whisker!.hidden = !known;
  if (!known) return;
  const [low, high] = [cell.low! * 100, cell.high! * 100];
  const [bar, tick] = [...whisker!.children] as HTMLElement[];
  setAttr(bar!, "style", `left:${low.toFixed(1)}%;width:${(high - low).toFixed(1)}%`);
  setAttr(tick!, "style", `left:${(em * 100).toFixed(1)}%`);
}

function emptyCell(place: Place): HTMLElement {
  const whisker = h("span", { class: "nbm-whisker" }, h("i"), h("b"));
  const parts = [h("b"), h("small"), whisker];
  const button = h("button", { type: "button", "data-cell": place.id, tabindex: -1 }, ...parts);
  return h("td", {}, button);
}

function failure({ prompt, expected, got }: Failing): HTMLElement {
  const part = (name: string, text: string) =>
    h(
      "div",
      { class: "nbm-fail-part", "data-part": name },
      h("span", {}, name),
      h("pre", {}, text || "(nothing)"),
    );
  return h(
    "li",
    { class: "nbm-fail" },
    part("prompt", prompt),
    part("expected", expected),
    part("got", got),
  );
}

const patterns: View = {
  name: "patterns",
  mount(el, ctx) {
    const { live, ui, signal } = ctx;
    const legend = h("div", { class: "nbm-legend" });
    ctx.tools.before(legend);
    const head = h("thead");
    const body = h("tbody");
    const table = h("table", { class: "nbm-patterns", "aria-label": ctx.spec.title }, head, body);
    const scroll = h("div", { class: "nbm-scroll" }, table);
    const failing = h("div", { class: "nbm-failing", hidden: true });
    const note = h("div", { class: "nbm-note" });
    const hint = String(
      ctx.spec.options.empty ??
        "waiting for a fixed evaluation: TrainingMonitor(trainer, fixed_eval=…) has one, and each of its records has a pattern and a length",
    );
    const empty = h("div", { class: "nbm-empty" }, hint);
    el.append(scroll, note, failing, empty);
    keepKeys(el, signal);
    let places: Place[][] = [];
    let shape = "";
    let open = "";
    let at = "0,0";

    const cellAt = (id: string) => body.querySelector<HTMLElement>(`[data-cell="${id}"]`);
    const focus = (row: number, column: number) => {
      const place = places[row]?.[column];
      if (!place) return;
      setAttr(cellAt(at) ?? body, "tabindex", "-1");
      at = place.id;
      const cell = cellAt(at);
      setAttr(cell ?? body, "tabindex", "0");
      cell?.focus();
    };
    const toggle = (id: string) => {
      open = open === id ? "" : id;
      painted.dirty();
    };
    body.addEventListener(
      "click",
      (event) => {
        const id = (event.target as Element).closest<HTMLElement>("[data-cell]")?.dataset.cell;
        const place = places.flat().find((p) => p.id === id);
        if (id && place && place.cell.seen > 0) toggle(id);
      },
      { signal },
    );
    el.addEventListener(
      "keydown",
      (event) => {
        if (event.key === "Escape" && open) {
          const back = open;
          toggle(open);
          cellAt(back)?.focus();
          event.preventDefault();
          return;
        }
        const id = (event.target as HTMLElement).dataset?.cell;
        const step = {
          ArrowUp: [-1, 0],
          ArrowDown: [1, 0],
          ArrowLeft: [0, -1],
          ArrowRight: [0, 1],
        }[event.key];
        if (!id || !step) return;
        const row = places.findIndex((r) => r.some((p) => p.id === id));
        const column = places[row]?.findIndex((p) => p.id === id) ?? 0;
        focus(row + step[0]!, column + step[1]!);
        event.preventDefault();
      },
      { signal },
    );

    /** Rows and columns anew: only when there are others. */
    const build = (meta: Meta) => {
      const text = JSON.stringify([meta.patterns, meta.bins]);
      if (text === shape) return;
      shape = text;
      const bins = (meta.bins ?? []).map((bin) =>
        h("th", { scope: "col", title: bin }, bin.replace(/000\b/g, "k")),
      );
      const heads = [h("th", { scope: "col" }), ...bins, h("th", { scope: "col" }, "ALL")];
      head.replaceChildren(h("tr", {}, ...heads));
      body.replaceChildren(
        ...places.map((row) => {
          const name = row[0]?.pattern ?? "";
          const label = row[0]?.id.startsWith("*") ? "ALL" : name;
          return h("tr", {}, h("th", { scope: "row", title: name }, label), ...row.map(emptyCell));
        }),
      );
      if (!cellAt(at)) at = "0,0";
      setAttr(cellAt(at) ?? body, "tabindex", "0");
    };

    const painted = ctx.loop.add(
      el,
      () => () => {
        const tensor = live.store.tensor(KEY);
        const meta = (tensor?.meta ?? {}) as Meta;
        const none = !tensor || (meta.patterns ?? []).length === 0;
        scroll.hidden = none;
        empty.hidden = !none;
        note.hidden = none;
        if (none) {
          failing.hidden = true;
          setText(legend, "");
          return;
        }
        places = tableOf(tensor);
        build(meta);
        const stops = ctx.palette().heat;
        for (const place of places.flat()) {
          const cell = cellAt(place.id)?.parentElement;
          if (cell) filled(cell, place, stops, place.id === open);
        }
        const total = meta.total;
        const all = total && total.seen > 0 ? `EM ${percent(total.correct / total.seen)}` : "";
        setText(
          legend,
          dotted(all, total && `n ${grouped(total.seen)}`, `step ${grouped(tensor.step)}`),
        );
        setText(
          note,
          dotted(
            "exact match, count and 95 % interval",
            meta.length && `length: ${meta.length}`,
            meta.labelled && `pattern: ${meta.labelled}`,
          ),
        );
        showFailures(
          failing,
          meta,
          places.flat().find((p) => p.id === open),
          tensor.step,
        );
      },
      signal,
    );
    onTensor(live, KEY, painted.dirty, signal);
    ui.on("look", painted.dirty, signal);
  },
};

function showFailures(el: HTMLElement, meta: Meta, place: Place | undefined, step: number): void {
  el.hidden = !place;
  const known = `${place?.id}|${step}`;
  if (!place || el.dataset.shown === known) return;
  el.dataset.shown = known;
  const found = failuresOf(meta, place.id);
  const wrong = place.cell.seen - place.cell.correct;
  const text =
    wrong === 0
      ? "none failed"
      : found.length < wrong
        ? `${found.length} of ${grouped(wrong)} failures`
        : "";
  el.replaceChildren(
    h(
      "div",
      { class: "nbm-fail-head", role: "status" },
      h("b", {}, told(place)),
      h("span", {}, text),
    ),
    h("ol", { class: "nbm-fails" }, ...found.map(failure)),
  );
}

export default patterns;
