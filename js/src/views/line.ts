/** Series over steps: one chart, one legend, toggles for the logarithm and the smoothing. */

import { told } from "../chart/crosshair";
import type { Source } from "../chart/data";
import { makeBand, phasesOf } from "../chart/phases";
import { Plot } from "../chart/plot";
import { spikeDots, spikeNear } from "../chart/spikes";
import { type Fact, factsOf } from "../chart/state";
import { showSummary } from "../chart/summary";
import { dotted, exact, grouped, keyLabel, withUnit } from "../format";
import { colorOf, mixed } from "../paint";
import type { Series } from "../series";
import { button, h, onResize, setAttr, setText, type View, type ViewContext } from "../view";

/** The chart that has the phases under it, and the loss spikes on it. */
const LOSS = "train/loss";

/** All series that the panel claims, each once. */
function linesOf(ctx: ViewContext): Series[] {
  return [...new Set(ctx.spec.keys.flatMap((key) => ctx.live.store.match(key)))].filter(
    (series) => series.rows > 0,
  );
}

/** The streaming mean of the one line, as the kernel measures it: better than any of ours. */
function streamingOf(ctx: ViewContext, lines: readonly Series[]): Series | null {
  if (lines.length !== 1) return null;
  const ema = ctx.live.store.series(`${lines[0]!.spec.key}_ema`);
  return ema && ema.rows > 0 ? ema : null;
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
    let streaming: Series | null = null;
    const main = spec.keys.includes(LOSS);
    const plot = new Plot(host, ctx, {
      color: options.color,
      // Patterns of keys have a unit when there are series.
      get unit() {
        return linesOf(ctx)[0]?.spec.unit ?? "";
      },
      points: options.points === true,
      log,
      smooth: () => smooth() && !streaming,
      colorAt: (index) => {
        if (!streaming) return undefined;
        const palette = ctx.palette();
        const color = colorOf(palette, options.color, 0);
        return index === 0 ? mixed(color, palette.panel, 0.58) : color;
      },
      ...(main && {
        extra: () => spikeDots(live.store, ctx.palette()),
        pressed: (x: number, reach: number) => {
          const step = spikeNear(live.store, x, 1.5 * reach);
          if (step === null) return;
          ui.set("spike", step);
          ui.set("place", { panel: "spikes" });
        },
      }),
    });
    const band = main ? makeBand((window) => ui.set("range", window), signal) : null;
    if (band) el.append(band.el);
    const facts = h("div", {
      class: "nbm-facts",
      "data-readout": `${spec.id}-state`,
      hidden: true,
    });
    el.append(facts);
    const chipBox = h("div", { class: "nbm-chips" });
    legend.append(chipBox);
    const show = () => {
      chips(chipBox, plot, ui.get("cursor"));
      showSummary(legend, plot.summary);
      plot.showTip();
      band?.show(phasesOf(live.store.events), plot.lines.length > 0 ? plot.drawn : null);
      showFacts(facts, factsOf(live.store, spec.keys));
    };
    const painted = ctx.loop.add(
      el,
      () => {
        const lines = linesOf(ctx);
        streaming = smooth() ? streamingOf(ctx, lines) : null;
        plot.lines = streaming ? [...lines, streaming] : lines;
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

/** Names of lines, short: where two would be the same, the part of the key before it tells them apart. */
export function namesOf(lines: readonly Source[]): string[] {
  const own = lines.map(({ spec }) => keyLabel(spec.key));
  return lines.map(({ spec: { key } }, i) => {
    if (key === `${LOSS}_ema`) return "streaming loss";
    const alone = own.indexOf(own[i]!) === own.lastIndexOf(own[i]!);
    const parts = key.split("/");
    if (alone || parts.length < 3) return own[i]!;
    const before = keyLabel(parts.slice(0, -1).join("/"));
    return /^\d+$/.test(before) ? `layer ${before}` : before;
  });
}

function showFacts(el: HTMLElement, facts: readonly Fact[]): void {
  el.hidden = facts.length === 0;
  const text = JSON.stringify(facts);
  if (el.dataset.shown === text) return;
  el.dataset.shown = text;
  el.replaceChildren(
    ...facts.map((f) => h("span", { "data-tone": f.tone || null, title: f.title || null }, f.text)),
  );
}

/** Value of every line at the cursor, else its last one. */
function chips(legend: HTMLElement, plot: Plot, cursor: number | null): void {
  const lines = plot.lines.slice(0, MOST);
  const names = namesOf(lines);
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
    setText(name, lines.length > 1 ? `${names[index]} ` : "");
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
