/** Whether the adapters learn, in words, and how far each layer has moved since the start. */

import { pickable } from "../chart/pick";
import { dotted, exact, grouped, short, withUnit } from "../format";
import { faded, type Palette, ramp } from "../paint";
import { extentOf } from "../scale";
import { h, onTensor, picture, setAttr, setText, type View, type ViewContext } from "../view";

const KEY = "lora/truth";
const PARTS = ["q", "k", "v", "qkv", "o", "mlp", "other"] as const;
const BAR = 34;
const STATES = {
  learning: ["good", "LEARNING"],
  partly: ["warn", "LEARNS IN PART"],
  "not learning": ["bad", "NOT LEARNING"],
  "too early": ["", "TOO EARLY TO SAY"],
} as const;

type Part = (typeof PARTS)[number];

interface Layer extends Partial<Record<Part, number | null>> {
  layer: number | string;
  relative?: number | null;
  effective_rank?: number | null;
}

interface Reason {
  title?: string;
  text?: string;
  action?: string;
}

interface Adapter {
  name: string;
  layers?: Layer[];
  top?: { layer: number | string; delta: number }[];
  verdict?: { state?: string; reasons?: Reason[] };
}

const known = (value: number | null | undefined): value is number =>
  typeof value === "number" && Number.isFinite(value);

/** "-" holds what belongs to no layer. */
const nameOf = (layer: number | string) => (layer === "-" ? "outside" : `layer ${layer}`);

/** A layer in words, with what was not adapted left out. */
function layerText(layer: Layer): string {
  const parts = PARTS.filter((p) => known(layer[p])).map((p) => `${p} ${short(layer[p]!)}`);
  const { relative, effective_rank: rank } = layer;
  return dotted(
    nameOf(layer.layer),
    parts.length > 0 && `Δ ${parts.join(" ")}`,
    known(relative) && `‖ΔW‖/‖W‖ ${withUnit(relative, "ratio")}`,
    known(rank) && `rank ${exact(Number(rank.toPrecision(3)))}`,
  );
}

interface Frame {
  left: number;
  top: number;
  width: number;
  rows: Part[];
  high: number;
}

function drawMap(
  ctx: CanvasRenderingContext2D,
  palette: Palette,
  frame: Frame,
  layers: readonly Layer[],
  picked: number | null,
): void {
  const { left, top, width, rows, high } = frame;
  const wide = width / layers.length;
  const extent = extentOf(layers.flatMap((l) => rows.map((p) => l[p] ?? Number.NaN))) ?? [0, 1];
  const edge = (i: number) => Math.round(left + i * wide);
  const gap = wide > 5 ? 1 : 0;
  ctx.font = palette.font;
  ctx.textBaseline = "middle";
  ctx.textAlign = "right";
  const name = (text: string, y: number) => {
    ctx.fillStyle = palette.label;
    ctx.fillText(text, left - 6, y);
  };
  rows.forEach((part, r) => {
    const y = top + r * high;
    name(part === "mlp" ? "MLP" : part, y + high / 2);
    layers.forEach((layer, i) => {
      const value = layer[part];
      const w = edge(i + 1) - edge(i) - gap;
      if (!known(value)) {
        ctx.fillStyle = palette.border;
        ctx.fillRect(edge(i) + w / 2 - 1.5, y + high / 2 - 0.5, 3, 1);
        return;
      }
      ctx.fillStyle = ramp(palette.heat, 0.06 + 0.94 * (value / (extent[1] || 1)));
      ctx.fillRect(edge(i), y, w, high - 1);
    });
  });
  const bars = (
    text: string,
    at: number,
    color: string,
    read: (l: Layer) => number | null,
    write: (most: number) => string,
  ) => {
    const most = Math.max(1e-12, ...layers.map((l) => read(l) ?? 0));
    name(text, at + BAR / 2 + 3);
    ctx.fillStyle = palette.grid;
    ctx.fillRect(left, at + BAR, width, 1);
    layers.forEach((layer, i) => {
      const value = read(layer);
      if (value === null) return;
      const tall = Math.max(1, (value / most) * (BAR - 6));
      ctx.fillStyle = i === picked ? color : faded(color, 0.6);
      ctx.fillRect(edge(i), at + BAR - tall, edge(i + 1) - edge(i) - gap, tall);
    });
    ctx.textAlign = "left";
    ctx.fillStyle = palette.label;
    ctx.fillText(write(most), left + width + 5, at + 8);
    ctx.textAlign = "right";
  };
  const base = top + rows.length * high;
  const relative = (l: Layer) => (known(l.relative) ? l.relative : null);
  const rank = (l: Layer) => (known(l.effective_rank) ? l.effective_rank : null);
  bars("‖ΔW‖/‖W‖", base, palette.gauge, relative, (v) => withUnit(v, "ratio"));
  bars("eff. rank", base + BAR, palette.grad, rank, short);
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  ctx.fillStyle = palette.label;
  const every = Math.max(1, Math.ceil(22 / wide));
  layers.forEach((layer, i) => {
    if (i % every !== 0) return;
    ctx.fillText(String(layer.layer), left + (i + 0.5) * wide, base + 2 * BAR + 4);
  });
  if (picked === null) return;
  ctx.strokeStyle = palette.readout;
  ctx.lineWidth = 1;
  const x = edge(picked) - 0.5;
  ctx.strokeRect(x, top - 0.5, edge(picked + 1) - edge(picked) - gap + 1, base + 2 * BAR - top + 1);
}

/** What is said of the adapter, with what to do. */
function showVerdict(el: HTMLElement, { verdict }: Adapter): void {
  const state = verdict?.state ?? "too early";
  const [tone, word] = STATES[state as keyof typeof STATES] ?? ["", state.toUpperCase()];
  const reasons = (verdict?.reasons ?? []).map(({ title, text, action }) => {
    const parts = [h("b", {}, title ?? ""), h("span", {}, text ?? "")];
    if (action) parts.push(h("em", {}, `→ ${action}`));
    return h("li", {}, ...parts);
  });
  el.replaceChildren(
    h("b", { class: "nbm-stamp", "data-tone": tone || null, role: "status" }, word),
    h("ul", { class: "nbm-reasons" }, ...reasons),
  );
}

/** The layers that moved most, each against the first of them. */
function showTop(el: HTMLElement, { top = [] }: Adapter): void {
  const most = Math.max(1e-12, ...top.map((t) => t.delta));
  const rows = top.map(({ layer, delta }) => {
    const fill = h("div", { style: `transform:scaleX(${(delta / most).toFixed(3)})` });
    return h(
      "li",
      {},
      h("span", {}, nameOf(layer)),
      h("div", { class: "nbm-track" }, fill),
      h("b", {}, short(delta)),
    );
  });
  const head = h("div", { class: "nbm-name" }, `TOP ${top.length} BY Δ`);
  el.replaceChildren(...(top.length > 0 ? [head, h("ol", {}, ...rows)] : []));
}

const adapters: View = {
  name: "adapters",
  mount(el, ctx) {
    const { live, signal } = ctx;
    const legend = h("div", { class: "nbm-legend", role: "status" });
    ctx.tools.before(legend);
    const chooser = chooserOf(ctx, (name) => {
      chosen = name;
      painted.dirty();
    });
    let chosen = "";
    let shown = "";
    let frame: Frame = { left: 76, top: 4, width: 1, rows: [], high: 16 };
    let layers: Layer[] = [];
    const verdict = h("div", { class: "nbm-truth" });
    const host = h("div", { class: "nbm-plot nbm-pick" });
    const chart = h("div", { class: "nbm-chart" }, host);
    const top = h("div", { class: "nbm-top" });
    const wrap = h("div", { class: "nbm-adapters" }, chart, top);
    const hint = String(
      ctx.spec.options.empty ??
        "waiting for the first reading of the adapters: how far A and B have moved",
    );
    const empty = h("div", { class: "nbm-empty nbm-low" }, hint);
    el.append(verdict, wrap, empty);
    const pic = picture(host, () => painted.dirty(), signal);
    const under = (x: number) => {
      const at = Math.floor(((x - frame.left) / frame.width) * layers.length);
      return at >= 0 && at < layers.length ? at : null;
    };
    const pick = pickable(host, "change of each layer", under, () => painted.dirty(), signal);

    const painted = ctx.loop.add(
      el,
      () => {
        const tensor = live.store.tensor(KEY);
        const all = (tensor?.meta.adapters ?? []) as Adapter[];
        const one = all.find((a) => a.name === chosen) ?? all[0];
        layers = one?.layers ?? [];
        const rows = PARTS.filter((p) => layers.some((l) => known(l[p])));
        const high = rows.length * 16 + 2 * BAR + 28;
        const context = layers.length > 0 ? pic.begin() : null;
        if (context) {
          frame = { ...frame, width: Math.max(1, pic.width - 76 - 46), rows };
          drawMap(context, ctx.palette(), frame, layers, pick.at);
        }
        return () => {
          empty.hidden = one !== undefined;
          verdict.hidden = wrap.hidden = one === undefined;
          wrap.hidden = layers.length === 0;
          if (!one) return;
          setAttr(chart, "style", `height:${high}px`);
          chooser(
            all.map((a) => a.name),
            one.name,
          );
          const text = JSON.stringify([one.name, one.verdict, one.top]);
          if (text !== shown) {
            shown = text;
            showVerdict(verdict, one);
            showTop(top, one);
          }
          const picked = pick.at === null ? undefined : layers[pick.at];
          const step = `step ${grouped(tensor?.step ?? 0)}`;
          const told = picked ? layerText(picked) : dotted(`${layers.length} layers`, step);
          setText(legend, told);
          pick.tell(layers.length, told);
          const state = one.verdict?.state ?? "";
          setAttr(pic.canvas, "aria-label", `${ctx.spec.title}: ${dotted(one.name, state, told)}`);
        };
      },
      signal,
    );
    onTensor(live, KEY, painted.dirty, signal);
    ctx.ui.on("look", painted.dirty, signal);
  },
};

/** A choice among adapters that shows itself only if there are several. */
function chooserOf(
  ctx: ViewContext,
  picked: (name: string) => void,
): (names: readonly string[], name: string) => void {
  const title = "adapter";
  const el = h("select", {
    class: "nbm-select",
    "data-control": title,
    title,
    "aria-label": title,
  });
  el.hidden = true;
  el.addEventListener("change", () => picked(el.value), { signal: ctx.signal });
  ctx.tools.append(el);
  let shown = "";
  return (names, name) => {
    el.hidden = names.length < 2;
    const text = names.join();
    if (text !== shown) el.replaceChildren(...names.map((v) => h("option", { value: v }, v)));
    shown = text;
    el.value = name;
  };
}

export default adapters;
