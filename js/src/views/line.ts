/** Series over steps: one chart, one legend, toggles for the logarithm and the smoothing. */

import { told } from "../chart/crosshair";
import type { Source } from "../chart/data";
import { Plot } from "../chart/plot";
import { showSummary } from "../chart/summary";
import { dotted, exact, grouped, keyLabel, withUnit } from "../format";
import type { Series } from "../series";
import { button, h, onResize, setAttr, setText, type View, type ViewContext } from "../view";

/** All series that the panel claims, each once. */
function linesOf(ctx: ViewContext): Series[] {
  return [...new Set(ctx.spec.keys.flatMap((key) => ctx.live.store.match(key)))].filter(
    (series) => series.rows > 0,
  );
}

/** What would fill an empty chart. */
function emptyText(ctx: ViewContext): string {
  const { spec, live } = ctx;
  const status = live.get("status").state;
  if (spec.keys.some((key) => key.startsWith("eval/"))) {
    if (live.get("config").eval_strategy === "no") {
      return 'no evaluation is planned: eval_strategy is "no"; set "steps" or "epoch", or call trainer.evaluate()';
    }
    return String(spec.options.empty ?? "waiting for the first evaluation");
  }
  if (status === "waiting") return "waiting for the first step of trainer.train()";
  if (status === "running")
    return String(spec.options.empty ?? `waiting for ${spec.keys.join(", ")}`);
  return `${spec.keys.join(", ")} was never logged in this run`;
}

function toggle(
  ctx: ViewContext,
  id: string,
  text: string,
  title: string,
  topic: "logY" | "raw",
  on: () => boolean,
): void {
  const el = button(id, text, title, () => ctx.ui.toggle(topic, ctx.spec.id), ctx.signal);
  const show = () => setAttr(el, "aria-pressed", String(on()));
  show();
  ctx.ui.on(topic, show, ctx.signal);
  ctx.tools.append(el);
}

const line: View = {
  name: "line",
  mount(el, ctx) {
    const { ui, live, signal, spec } = ctx;
    const options = spec.options as {
      color?: string;
      smooth?: boolean;
      log?: boolean;
      points?: boolean;
    };
    const log = () => ui.get("logY").has(spec.id);
    const smooth = () => options.smooth === true && !ui.get("raw").has(spec.id);
    const legend = h("div", { class: "nbm-legend" });
    const empty = h("div", { class: "nbm-empty" });
    const host = h("div", { class: "nbm-plot" });
    el.append(h("div", { class: "nbm-chart" }, host, empty));
    ctx.tools.before(legend);
    if (options.smooth) {
      toggle(ctx, "smooth", "EMA", "smoothed line over the raw one", "raw", smooth);
    }
    if (options.log) toggle(ctx, "log-y", "LOG", "logarithmic y axis", "logY", log);
    const unit = () => live.store.series(spec.keys[0] ?? "")?.spec.unit ?? "";
    const plot = new Plot(host, ctx, {
      color: options.color,
      unit: unit(),
      points: options.points === true,
      log,
      smooth,
    });
    const chipBox = h("div", { class: "nbm-chips" });
    legend.append(chipBox);
    const show = () => {
      chips(chipBox, plot, ui.get("cursor"));
      showSummary(legend, plot.summary);
      plot.showTip();
    };
    const painted = ctx.loop.add(
      el,
      () => {
        plot.lines = linesOf(ctx);
        const none = plot.lines.length === 0;
        empty.hidden = !none;
        host.hidden = none;
        if (!none) plot.paint(describe(spec.title, plot.lines));
        return () => {
          if (none) setText(empty, emptyText(ctx));
          show();
        };
      },
      signal,
    );
    const pointed = ctx.loop.add(
      el,
      () => {
        plot.paintCursor();
        return show;
      },
      signal,
    );
    onResize(
      host.parentElement ?? el,
      (w, hgt) => {
        plot.resize(w, hgt);
        painted.dirty();
      },
      signal,
    );
    live.store.onChange(painted.dirty, signal);
    ctx.details.onChange(painted.dirty, signal);
    live.onTrait("status", painted.dirty, signal);
    for (const topic of ["range", "logY", "raw", "look"] as const)
      ui.on(topic, painted.dirty, signal);
    ui.on("cursor", pointed.dirty, signal);
  },
};

/** The current values, for those who can't see the chart. */
function describe(title: string, lines: readonly Source[]): string {
  const parts = lines.slice(0, 6).map((s) => {
    const last = s.last();
    return last ? `${s.spec.key} ${exact(last.value)} at step ${grouped(last.x)}` : s.spec.key;
  });
  return `${title}: ${parts.join("; ")}`;
}

const MOST = 8;

/** Value of every line at the cursor, else its last one. */
function chips(legend: HTMLElement, plot: Plot, cursor: number | null): void {
  const lines = plot.lines.slice(0, MOST);
  const wanted = lines.length + (lines.length > 0 ? 1 : 0);
  while (legend.children.length > wanted) legend.lastElementChild?.remove();
  while (legend.children.length < wanted) legend.append(h("span", {}, h("i"), h("em"), h("b")));
  if (lines.length === 0) return;
  const { step } = told(
    cursor,
    (x) => plot.at(0, x),
    () => null,
  );
  const note = plot.span > 0 ? `ema ${plot.span}` : "";
  const more = plot.lines.length > MOST ? `+${plot.lines.length - MOST} more` : "";
  const head = legend.children[0]!;
  setText(head, dotted(step, note, more));
  lines.forEach((series, index) => {
    const chip = legend.children[index + 1]!;
    const [mark, name, value] = [...chip.children] as [HTMLElement, HTMLElement, HTMLElement];
    const { point } = told(
      cursor,
      (x) => plot.at(index, x),
      () => series.last(),
    );
    setAttr(mark, "style", `--c:${plot.color(index)}`);
    setText(name, lines.length > 1 ? `${keyLabel(series.spec.key)} ` : "");
    const text = !point
      ? "–"
      : series.spec.unit
        ? withUnit(point.value, series.spec.unit)
        : exact(point.value);
    setText(value, text);
    setAttr(value, "class", point && !Number.isFinite(point.value) ? "nbm-bad" : null);
  });
}

export default line;
