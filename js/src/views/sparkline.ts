/** One course with its statistics beneath: throughput of tokens. */

import { told } from "../chart/crosshair";
import { Plot } from "../chart/plot";
import { showSummary } from "../chart/summary";
import { counted, dotted, grouped, withUnit } from "../format";
import type { Series } from "../series";
import { h, onResize, setText, type View } from "../view";

interface Stat {
  label: string;
  key: string;
  unit?: string;
}

function statText(series: Series | undefined, stat: Stat): string {
  const point = series?.last();
  const kind = stat.unit ?? series?.spec.unit ?? "";
  if (!point) return "–";
  return kind === "" || kind === "tokens" ? counted(point.value) : withUnit(point.value, kind);
}

const sparkline: View = {
  name: "sparkline",
  mount(el, ctx) {
    const { live, ui, signal, spec } = ctx;
    const stats = (spec.options.stats ?? []) as Stat[];
    const key = spec.keys[0] ?? "";
    const now = h("b");
    const legend = h("div", { class: "nbm-legend" }, h("span", {}, now));
    ctx.tools.before(legend);
    const host = h("div", { class: "nbm-plot" });
    const empty = h("div", { class: "nbm-empty" }, "waiting for the first batch of tokens");
    const chart = h("div", { class: "nbm-chart" }, host, empty);
    const line = h("div", { class: "nbm-stats" });
    const cells = stats.map((stat) => {
      const value = h("b", {}, "–");
      line.append(h("span", { title: stat.key }, `${stat.label} `, value));
      return { stat, value };
    });
    el.append(chart, line);
    const color = (spec.options.color as string | undefined) ?? "gauge";
    const plot = new Plot(host, ctx, { color, unit: "", log: () => false, smooth: () => true });
    const show = () => {
      const series = live.store.series(key);
      const { point, step } = told(
        ui.get("cursor"),
        (x) => plot.at(0, x),
        () => series?.last(),
      );
      setText(now, point ? dotted(step, withUnit(point.value, series?.spec.unit ?? "")) : "–");
      showSummary(legend, plot.summary);
      plot.showTip();
    };
    const painted = ctx.loop.add(
      el,
      () => {
        const series = live.store.series(key);
        plot.lines = series && series.rows > 0 ? [series] : [];
        empty.hidden = plot.lines.length > 0;
        host.hidden = !empty.hidden;
        const last = series?.last();
        const unit = series?.spec.unit ?? "";
        if (last)
          plot.paint(`${spec.title}: ${withUnit(last.value, unit)} at step ${grouped(last.x)}`);
        return () => {
          for (const { stat, value } of cells)
            setText(value, statText(live.store.series(stat.key), stat));
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
      chart,
      (w, hgt) => {
        plot.resize(w, hgt);
        painted.dirty();
      },
      signal,
    );
    live.store.onChange(painted.dirty, signal);
    ctx.details.onChange(painted.dirty, signal);
    for (const topic of ["range", "look"] as const) ui.on(topic, painted.dirty, signal);
    ui.on("cursor", pointed.dirty, signal);
  },
};

export default sparkline;
