/** Norms per layer over steps: a heat map, or a line per layer. */

import { told } from "../chart/crosshair";
import type { Source } from "../chart/data";
import { drawAxes, drawHeat, type Frame, heatExtent, logExtent } from "../chart/heat";
import { type Choice, type Choices, choicesOf, layerRows } from "../chart/layers";
import { Plot } from "../chart/plot";
import { visibleRange } from "../chart/range";
import { dotted, exact, grouped, keyLabel, short } from "../format";
import { ramp } from "../paint";
import type { Window } from "../series";
import {
  button,
  h,
  onResize,
  picture,
  setAttr,
  setText,
  type View,
  type ViewContext,
} from "../view";

const NAMES: Record<string, string> = {
  delta_norm: "‖ΔW‖",
  a_norm: "‖A‖",
  b_norm: "‖B‖",
  delta_a: "ΔA",
  delta_b: "ΔB",
  relative: "‖ΔW‖/‖W‖",
  norm: "‖g‖",
  ratio: "update/weight",
};

/** What an empty panel waits for. */
function subject(key = ""): string {
  const area = key.split("/")[0];
  if (area === "grad") return "the gradients of each layer";
  return area === "update" ? "the updates of each layer" : "the adapters";
}

/** A chooser that shows itself only if there is a choice. */
function chooser(
  ctx: ViewContext,
  id: string,
  title: string,
  picked: (value: string) => void,
): (values: readonly string[], names: readonly string[], value: string) => void {
  const el = h("select", { class: "nbm-select", "data-control": id, title, "aria-label": title });
  el.addEventListener("change", () => picked(el.value), { signal: ctx.signal });
  ctx.tools.append(el);
  let shown = "";
  return (values, names, value) => {
    const text = `${values.join()}|${value}`;
    el.hidden = values.length < 2;
    if (text === shown) return;
    shown = text;
    el.replaceChildren(...values.map((v, i) => h("option", { value: v }, names[i] ?? v)));
    el.value = value;
  };
}

const layers: View = {
  name: "layers",
  mount(el, ctx) {
    const { live, ui, signal, spec } = ctx;
    const wanted = (spec.options.metrics ?? []) as string[];
    const choice: Choice = { group: "", module: "", metric: wanted[0] ?? "" };
    // Gradients and updates of one model differ by decades.
    const wide = spec.options.log === true || /^(grad|update)\//.test(spec.keys[0] ?? "");
    let asLines = false;
    let hovered: number | null = null;
    let rows: Source[] = [];
    let frame: Frame = { left: 0, top: 0, width: 1, height: 1 };

    const note = h("span");
    const [low, bar, high] = [h("span"), h("i"), h("span")];
    const ends = h("span", { class: "nbm-scale" }, low, bar, high);
    const legend = h("div", { class: "nbm-legend" }, note, ends);
    ctx.tools.before(legend);
    const map = h("div", { class: "nbm-plot" });
    const host = h("div", { class: "nbm-plot" });
    const empty = h(
      "div",
      { class: "nbm-empty" },
      String(spec.options.empty ?? `waiting for the first measurement of ${subject(spec.keys[0])}`),
    );
    const chart = h("div", { class: "nbm-chart" }, map, host, empty);
    el.append(chart);
    const cursor = h("div", { class: "u-cursor-x" });
    const pic = picture(map, () => painted.dirty(), signal);
    map.append(cursor);

    const pick = (part: keyof Choice) => (value: string) => {
      choice[part] = value;
      painted.dirty();
    };
    const group = chooser(ctx, "adapter", "adapter", pick("group"));
    const module = chooser(
      ctx,
      "module",
      "part of the layers; all of an adapter's: root of the sum of squares",
      pick("module"),
    );
    const metric = chooser(ctx, "metric", "norm", pick("metric"));
    const kind = button(
      "lines",
      "LINES",
      "a line per layer instead of the heat map",
      () => {
        asLines = !asLines;
        setAttr(kind, "aria-pressed", String(asLines));
        painted.dirty();
      },
      signal,
    );
    setAttr(kind, "aria-pressed", "false");
    const log = () => wide !== ui.get("logY").has(spec.id);
    const scaled = button(
      "log-y",
      "LOG",
      "logarithmic scale",
      () => ui.toggle("logY", spec.id),
      signal,
    );
    const showLog = () => setAttr(scaled, "aria-pressed", String(log()));
    ui.on("logY", showLog, signal);
    showLog();
    ctx.tools.append(...(wide ? [scaled] : []), kind);

    const plot = new Plot(host, ctx, {
      unit: "",
      log,
      smooth: () => false,
      colorAt: (index, count) => shade(ctx, count > 1 ? index / (count - 1) : 1),
    });

    const choose = (all: Choices) => {
      if (!all.groups.includes(choice.group)) choice.group = all.groups[0] ?? "";
      if (!all.metrics.includes(choice.metric)) choice.metric = all.metrics[0] ?? "";
      if (choice.module && !all.modules.includes(choice.module)) choice.module = "";
      group(all.groups, all.groups, choice.group);
      const modules = all.modules.length > 1 ? ["", ...all.modules] : all.modules;
      module(modules, ["all modules", ...all.modules], choice.module);
      metric(
        all.metrics,
        all.metrics.map((m) => NAMES[m] ?? keyLabel(m)),
        choice.metric,
      );
    };

    const patterns = new Set([
      ...spec.keys,
      ...spec.keys.flatMap((key) => wanted.map((m) => key.replace(/[^/]+$/, m))),
    ]);
    const sources = () => {
      const all = [...new Set([...patterns].flatMap((key) => live.store.match(key)))];
      choose(choicesOf(all));
      rows = layerRows(all, choice);
    };

    const scale = (colors: readonly string[]) =>
      setAttr(bar, "style", `background:linear-gradient(90deg,${colors.join()})`);

    const paintMap = () => {
      const view = visibleRange(ui, rows);
      const context = view && pic.begin();
      if (!view || !context) return;
      const raw = rows.map((row) => row.window(view[0], view[1], Math.max(16, pic.width / 2)));
      const windows = log() ? raw.map(logarithmic) : raw;
      const whole = heatExtent(windows);
      const extent = (log() ? logExtent(windows) : whole) ?? [0, 1];
      // Rows, and nothing in them that could be drawn: a scale would be made up.
      ends.hidden = !whole;
      const left = 14 + 7 * Math.max(2, ...rows.map((row) => row.spec.key.length));
      frame = { left, top: 4, width: pic.width - left - 10, height: pic.height - 26 };
      drawHeat(context, ctx.palette(), frame, windows, view, extent);
      drawAxes(
        context,
        ctx.palette(),
        frame,
        rows.map((row) => row.spec.key),
        view,
      );
      const [least, most] = log() ? extent.map((v) => 10 ** v) : extent;
      setText(low, `${whole && whole[0] < extent[0] ? "≤ " : ""}${short(least!)}`);
      setText(high, short(most!));
      scale(ctx.palette().heat);
      const last = rows[rows.length - 1]?.last();
      const name = NAMES[choice.metric] ?? choice.metric;
      const range = `${name} of ${counted(rows)} from ${short(least!)} to ${short(most!)}`;
      setAttr(pic.canvas, "aria-label", `${spec.title}: ${range}, step ${grouped(last?.x ?? 0)}`);
    };

    const paintHover = () => {
      const x = ui.get("cursor");
      const view = visibleRange(ui, rows);
      const inside = !asLines && x !== null && view && x >= view[0] && x <= view[1];
      cursor.hidden = !inside;
      if (inside) {
        const left = frame.left + ((x - view[0]) / (view[1] - view[0])) * frame.width;
        cursor.style.transform = `translateX(${Math.round(left)}px)`;
      }
      if (asLines) {
        plot.paintCursor();
        plot.showTip();
      }
      const row = hovered === null ? undefined : rows[hovered];
      const { point } = told(
        x,
        (at) => row?.at(at),
        () => row?.last(),
      );
      setText(
        note,
        row && point
          ? dotted(row.spec.label, `step ${grouped(point.x)}`, exact(point.value))
          : counted(rows),
      );
    };

    const painted = ctx.loop.add(
      el,
      () => {
        sources();
        const none = rows.length === 0;
        empty.hidden = !none;
        map.hidden = none || asLines;
        host.hidden = none || !asLines;
        legend.hidden = kind.hidden = scaled.hidden = none;
        if (none) return;
        if (asLines) {
          ends.hidden = false;
          plot.lines = rows;
          setText(low, rows[0]?.spec.label ?? "");
          setText(high, rows[rows.length - 1]?.spec.key ?? "");
          scale([0, 0.25, 0.5, 0.75, 1].map((part) => shade(ctx, part)));
          plot.paint(`${spec.title}: ${counted(rows)}`);
        } else paintMap();
        return paintHover;
      },
      signal,
    );
    const pointed = ctx.loop.add(el, paintHover, signal);
    map.addEventListener(
      "mousemove",
      (event) => {
        const view = visibleRange(ui, rows);
        if (!view) return;
        const box = map.getBoundingClientRect();
        const part = (event.clientX - box.left - frame.left) / frame.width;
        const row = Math.floor(
          ((event.clientY - box.top - frame.top) / frame.height) * rows.length,
        );
        hovered = row >= 0 && row < rows.length && part >= 0 && part <= 1 ? row : null;
        ui.set("cursor", hovered === null ? null : view[0] + part * (view[1] - view[0]));
        pointed.dirty();
      },
      { signal },
    );
    map.addEventListener(
      "mouseleave",
      () => {
        hovered = null;
        ui.set("cursor", null);
      },
      { signal },
    );
    map.addEventListener("dblclick", () => ui.resetRange(), { signal });
    onResize(
      chart,
      (w, hgt) => {
        plot.resize(w, hgt);
        painted.dirty();
      },
      signal,
    );
    live.store.onChange(painted.dirty, signal);
    for (const topic of ["range", "look", "logY"] as const) ui.on(topic, painted.dirty, signal);
    ui.on("cursor", pointed.dirty, signal);
  },
};

/** How many rows there are, of what. */
function counted(rows: readonly Source[]): string {
  return `${rows.length} ${rows.some(({ spec }) => /\D/.test(spec.key)) ? "groups" : "layers"}`;
}

/** A row with the logarithms of its values; what has none is left out. */
function logarithmic(row: Window): Window {
  return { ...row, mean: row.mean.map((v) => (v > 0 ? Math.log10(v) : Number.NaN)) };
}

/** A colour for depth `part`, leaving out the end of the scale that fades into the panel. */
function shade(ctx: ViewContext, part: number): string {
  return ramp(ctx.palette().heat, 0.3 + 0.7 * part);
}

export default layers;
