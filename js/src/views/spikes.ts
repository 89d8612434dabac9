/** The rows behind a loss spike: their text, each token with its own loss. */

import { dotted, grouped, short } from "../format";
import { ink, ramp } from "../paint";
import { extentOf } from "../scale";
import { button, h, keepKeys, onTensor, setAttr, setText, type View } from "../view";

const KEY = "insight/spikes";

interface Row {
  row: number;
  dataset_index?: number | null;
  text?: string;
  tokens?: string[];
  losses?: (number | null)[];
  /** Mean loss of the whole row, where only a part of it is told. */
  loss?: number | null;
  from_token?: number;
  of_tokens?: number;
}

interface Spike {
  step: number;
  loss: number;
  usual?: number | null;
  /** By how many spreads of the usual it stands out. */
  excess?: number | string | null;
  /** Steps between the loss and the weights that the losses of its tokens were read with. */
  steps_later?: number;
  /** Why there are no rows, or "". */
  reason?: string;
  rows?: Row[];
}

const finite = (v: unknown): v is number => typeof v === "number" && Number.isFinite(v);

function meanOf(row: Row): number {
  if (finite(row.loss)) return row.loss;
  const all = (row.losses ?? []).filter(finite);
  return all.length > 0 ? all.reduce((sum, v) => sum + v, 0) / all.length : Number.NaN;
}

/** How far a spike is over what was usual; one without a usual value, or not finite, comes first. */
function excess(spike: Spike): number {
  return finite(spike.loss) && finite(spike.excess) ? spike.excess : ratio(spike);
}

function ratio({ loss, usual }: Spike): number {
  return finite(loss) && finite(usual) && usual > 0 ? loss / usual : Number.POSITIVE_INFINITY;
}

/** A loss as it came: JSON has neither NaN nor infinity, so that one is null or a word. */
function lossText(loss: unknown): string {
  return finite(loss) ? short(loss) : typeof loss === "string" ? loss : "not finite";
}

/** A token that can be seen: line breaks and blanks have a sign. */
function visible(token: string): string {
  if (token === "") return "∅";
  return token.replaceAll("\n", "⏎").replaceAll("\t", "⇥");
}

function tokensOf(row: Row, most: number, stops: readonly string[]): HTMLElement {
  const { tokens = [], losses = [] } = row;
  // Words of their own, or numbers, would run into each other.
  const apart = tokens.length > 1 && !tokens.some((token) => /^[\s▁Ġ]|\s$/.test(token));
  const box = h("div", { class: "nbm-tokens", "data-apart": apart });
  tokens.forEach((token, i) => {
    const loss = losses[i];
    const el = h("span", {}, visible(token));
    if (finite(loss)) {
      // From the panel's own darkness up: what costs little does not shout.
      const color = ramp(stops, 0.05 + 0.95 * Math.min(1, loss / most));
      el.setAttribute("style", `background:${color};color:${ink(color)}`);
      el.title = `loss ${short(loss)}`;
    } else el.title = "not trained on: no loss";
    box.append(el);
  });
  if (tokens.length === 0) box.append(row.text ?? "");
  return box;
}

/** `placed`: whether other rows of the spike tell where they come from. */
function rowOf(row: Row, most: number, stops: readonly string[], placed: boolean): HTMLElement {
  const mean = meanOf(row);
  const index = row.dataset_index;
  const unknown = placed ? "place in the dataset not known" : "";
  const where = finite(index) ? `dataset #${grouped(index)}` : unknown;
  const { from_token: from = 0, of_tokens: of = 0, tokens = [] } = row;
  const part =
    of > tokens.length ? `tokens ${from + 1}–${from + tokens.length} of ${grouped(of)}` : "";
  const head = dotted(`row ${row.row}`, where, part);
  const loss = Number.isNaN(mean) ? "" : `mean loss ${short(mean)}`;
  return h(
    "li",
    { class: "nbm-spike-row" },
    h("div", { class: "nbm-spike-head" }, h("span", {}, head), h("b", {}, loss)),
    tokensOf(row, most, stops),
  );
}

const spikes: View = {
  name: "spikes",
  mount(el, ctx) {
    const { live, ui, signal } = ctx;
    const legend = h("div", { class: "nbm-legend" });
    ctx.tools.before(legend);
    const onChart = button(
      "spike-chart",
      "ON CHART",
      "show the steps around it in the loss chart",
      () => {
        const step = current()?.step;
        if (step === undefined) return;
        ui.set("place", { key: "train/loss", window: [Math.max(0, step - 40), step + 40] });
      },
      signal,
    );
    ctx.tools.append(onChart);
    const list = h("div", { class: "nbm-spikes", role: "group", "aria-label": "Loss spikes" });
    const rows = h("ol", { class: "nbm-spike-rows", tabindex: 0 });
    const scale = h("span", { class: "nbm-scale" }, h("span", {}, "0"), h("i"), h("span"));
    const unplaced = h("span", {}, " · which rows of the dataset they are is not known");
    const note = h("div", { class: "nbm-note" }, "loss of each token ", scale, unplaced);
    const hint = String(
      ctx.spec.options.empty ??
        "no loss spike so far: the rows of the worst ones are kept here, with the loss of each token",
    );
    const empty = h("div", { class: "nbm-empty nbm-low" }, hint);
    el.append(list, rows, note, empty);
    keepKeys(el, signal);
    let all: Spike[] = [];
    let shown = "";
    const current = () => all.find((s) => s.step === ui.get("spike")) ?? all[0];
    list.addEventListener(
      "click",
      (event) => {
        const step = (event.target as Element).closest<HTMLElement>("[data-spike]")?.dataset.spike;
        if (step !== undefined) ui.set("spike", Number(step));
      },
      { signal },
    );

    const chip = (spike: Spike) => {
      const over = ratio(spike);
      const times = Number.isFinite(over) ? ` · ${over.toPrecision(2)}×` : "";
      const text = `${lossText(spike.loss)}${times}`;
      const parts = [h("span", {}, `step ${grouped(spike.step)}`), h("b", {}, text)];
      const props = { type: "button", class: "nbm-button", "data-spike": spike.step } as const;
      return h("button", { ...props, "aria-pressed": false }, ...parts);
    };
    const painted = ctx.loop.add(
      el,
      () => () => {
        const meta = live.store.tensor(KEY)?.meta;
        all = [...((meta?.spikes ?? []) as Spike[])].sort((a, b) => excess(b) - excess(a));
        const none = all.length === 0;
        empty.hidden = !none;
        list.hidden = rows.hidden = note.hidden = onChart.hidden = none;
        const spike = current();
        setText(legend, none || !spike ? "" : told(spike, all.length));
        const steps = all.map((s) => `${s.step} ${s.loss}`).join();
        const text = `${steps}|${spike?.step}|${spike?.rows?.length}|${ui.get("look")}`;
        if (text === shown) return;
        shown = text;
        place(list, all.map(chip));
        for (const el of list.children)
          setAttr(
            el,
            "aria-pressed",
            String((el as HTMLElement).dataset.spike === String(spike?.step)),
          );
        if (!spike) return;
        const losses = (spike.rows ?? []).flatMap((r) => r.losses ?? []).filter(finite);
        const most = extentOf(losses)?.[1] || 1;
        const { heat } = ctx.palette();
        const sorted = [...(spike.rows ?? [])].sort((a, b) => order(b) - order(a));
        const placed = sorted.some((row) => finite(row.dataset_index));
        unplaced.hidden = placed || sorted.length === 0;
        rows.replaceChildren(...sorted.map((row) => rowOf(row, most, heat, placed)));
        if (sorted.length === 0) {
          const why = spike.reason || "the batch of this step was not kept";
          rows.append(h("li", { class: "nbm-note" }, why));
        }
        setAttr(scale.children[1]!, "style", `background:linear-gradient(90deg,${heat.join()})`);
        setText(scale.children[2]!, short(most));
      },
      signal,
    );
    onTensor(live, KEY, painted.dirty, signal);
    for (const topic of ["look", "spike"] as const) ui.on(topic, painted.dirty, signal);
  },
};

/** Rows by mean loss; those without any come last. */
function order(row: Row): number {
  const mean = meanOf(row);
  return Number.isNaN(mean) ? Number.NEGATIVE_INFINITY : mean;
}

function told({ step, loss, usual, steps_later: later = 0 }: Spike, count: number): string {
  const normal = finite(usual) ? `usually ${short(usual)}` : "";
  const kept = count > 1 ? `the worst ${count} are kept` : "";
  const read = later > 0 ? `tokens read ${later} step${later === 1 ? "" : "s"} later` : "";
  return dotted(`step ${grouped(step)}`, `loss ${lossText(loss)}`, normal, read, kept);
}

/** New chips in the place of the old ones; the keyboard stays where it was. */
function place(list: HTMLElement, chips: HTMLElement[]): void {
  const focused = (document.activeElement as HTMLElement | null)?.dataset?.spike;
  const within = list.contains(document.activeElement);
  list.replaceChildren(...chips);
  if (within) chips.find((c) => c.dataset.spike === focused)?.focus({ preventScroll: true });
}

export default spikes;
