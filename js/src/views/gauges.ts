/** Arc gauges and bars, one row per device. A missing reading is "–" with its reason. */

import { bytes, withUnit } from "../format";
import { arcGauge, HOT } from "../paint";
import { clamp } from "../scale";
import { h, picture, setAttr, setText, type View, type ViewContext } from "../view";

interface Gauge {
  label: string;
  key?: string;
  used?: string;
  total?: string;
  limit?: string;
  max?: number;
}

interface Reading {
  /** Share of the range, or null if unknown. */
  part: number | null;
  text: string;
  detail: string;
  reason: string;
}

/** Values of `{i}`: the devices that the panel's keys or reasons name; [""] without `{i}`. */
function units(ctx: ViewContext, gauges: readonly Gauge[]): string[] {
  const templates = gauges
    .flatMap((g) => [g.key, g.used, g.total])
    .filter((t) => t?.includes("{i}"));
  if (templates.length === 0) return [""];
  const known = [
    ...ctx.spec.keys.flatMap((key) => ctx.live.store.match(key)).map((s) => s.spec.key),
    ...Object.keys((ctx.spec.options.reasons ?? {}) as object),
  ];
  const found = new Set<string>();
  for (const template of templates) {
    const [before = "", after = ""] = (template ?? "").split("{i}");
    for (const key of known) {
      if (!key.startsWith(before) || !key.endsWith(after)) continue;
      const middle = key.slice(before.length, key.length - after.length);
      if (middle && !middle.includes("/")) found.add(middle);
    }
  }
  return [...found].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

function reading(ctx: ViewContext, gauge: Gauge, unit: string): Reading {
  const name = (template: string | undefined) => (template ?? "").replace("{i}", unit);
  const key = name(gauge.used ?? gauge.key);
  const reasons = (ctx.spec.options.reasons ?? {}) as Record<string, string>;
  const series = ctx.live.store.series(key);
  const value = series?.last()?.value ?? Number.NaN;
  if (reasons[key] || !Number.isFinite(value)) {
    const reason = reasons[key] ?? (series?.rows ? `${key} could not be read` : "not measured yet");
    return { part: null, text: "–", detail: reason, reason };
  }
  const limit = name(gauge.total ?? gauge.limit);
  const most = (limit ? ctx.live.store.series(limit)?.last()?.value : undefined) ?? gauge.max;
  const known = most !== undefined && Number.isFinite(most) && most > 0;
  const part = known ? value / most : null;
  const size = series?.spec.unit ?? "";
  if (gauge.used) {
    const text = part === null ? bytes(value) : `${Math.round(part * 100)} %`;
    return {
      part,
      text,
      detail: known ? `${bytes(value)} / ${bytes(most)}` : bytes(value),
      reason: "",
    };
  }
  const text = withUnit(value, size);
  const detail = limit && known && size !== "bytes" ? `limit ${withUnit(most, size)}` : "";
  return { part, text, detail, reason: "" };
}

type Update = () => void;

function dial(
  row: HTMLElement,
  ctx: ViewContext,
  gauge: Gauge,
  unit: string,
  resized: Update,
): Update {
  const value = h("b", {}, "–");
  const face = h("div", { class: "nbm-dial" });
  const detail = h("div", { class: "nbm-detail" });
  const pic = picture(face, resized, ctx.signal);
  face.append(value, h("span", {}, gauge.label));
  row.append(h("div", { class: "nbm-gauge" }, face, detail));
  let drawn = "";
  return () => {
    const now = reading(ctx, gauge, unit);
    setText(value, now.text);
    setText(detail, now.detail);
    setAttr(detail, "title", now.detail || null);
    setAttr(value, "class", now.part !== null && now.part > HOT ? "nbm-bad" : null);
    setAttr(pic.canvas, "aria-label", `${gauge.label} ${unit} ${now.text} ${now.detail}`.trim());
    const stamp = `${now.part?.toFixed(3)}|${pic.width}|${pic.height}|${ctx.ui.get("look")}|${window.devicePixelRatio}`;
    if (stamp === drawn) return;
    const context = pic.begin();
    if (!context) return;
    drawn = stamp;
    const radius = Math.max(18, Math.min(pic.width / 2 - 12, (pic.height - 14) / 1.7));
    arcGauge(context, ctx.palette(), { x: pic.width / 2, y: radius + 12, radius }, now.part);
  };
}

function meter(row: HTMLElement, ctx: ViewContext, gauge: Gauge, unit: string): Update {
  const value = h("b", {}, "–");
  const fill = h("div");
  const bar = h(
    "div",
    { class: "nbm-meter" },
    h("div", {}, h("span", {}, gauge.label), value),
    h("div", { class: "nbm-track" }, fill),
  );
  row.append(bar);
  return () => {
    const now = reading(ctx, gauge, unit);
    const limit = now.detail.startsWith("limit ") ? ` / ${now.detail.slice(6)}` : "";
    setText(value, now.text + limit);
    setAttr(bar, "title", now.detail || null);
    setAttr(fill, "style", `transform:scaleX(${clamp(now.part ?? 0, 0, 1).toFixed(3)})`);
    setAttr(fill, "data-hot", now.part !== null && now.part > HOT ? "" : null);
    setAttr(value, "class", now.part !== null && now.part > HOT ? "nbm-bad" : null);
  };
}

const gauges: View = {
  name: "gauges",
  mount(el, ctx) {
    const arcs = (ctx.spec.options.arcs ?? []) as Gauge[];
    const bars = (ctx.spec.options.bars ?? []) as Gauge[];
    const box = h("div", { class: "nbm-units" });
    const empty = h(
      "div",
      { class: "nbm-empty" },
      "waiting for the first reading, once a second while the run goes on",
    );
    el.append(box, empty);
    const updates = new Map<string, Update[]>();
    const painted = ctx.loop.add(
      el,
      () => () => {
        const present = units(ctx, [...arcs, ...bars]);
        empty.hidden = present.length > 0;
        for (const unit of present) {
          let own = updates.get(unit);
          if (!own) {
            own = [];
            updates.set(unit, own);
            const row = h("div", { class: "nbm-unit", style: `--arcs:${arcs.length}` });
            if (unit !== "")
              row.append(h("div", { class: "nbm-name" }, `${ctx.spec.title} ${unit}`));
            box.append(row);
            for (const arc of arcs) own.push(dial(row, ctx, arc, unit, () => painted.dirty()));
            const meters = h("div", { class: "nbm-meters" });
            row.append(meters);
            for (const bar of bars) own.push(meter(meters, ctx, bar, unit));
          }
          for (const update of own) update();
        }
      },
      ctx.signal,
    );
    ctx.live.store.onChange(painted.dirty, ctx.signal);
    ctx.ui.on("look", painted.dirty, ctx.signal);
  },
};

export default gauges;
