/** Small multiples of every series that no other panel shows. */

import { Plot } from "../chart/plot";
import { exact, grouped, short } from "../format";
import type { Series } from "../series";
import { h, onResize, setAttr, setText, type View, type ViewContext } from "../view";

/** Cards in the page; the filter reaches the others. */
const MOST = 24;

/** Patterns of all keys that other panels name, in `keys` or anywhere in their options. */
export function claimed(ctx: Pick<ViewContext, "spec" | "live">): string[] {
  const out = new Set<string>((ctx.spec.options.exclude ?? []) as string[]);
  const collect = (value: unknown) => {
    if (typeof value === "string") {
      if (value.includes("/") && !value.includes(" ")) out.add(value.replace(/\{\w+\}/g, "*"));
    } else if (value && typeof value === "object") Object.values(value).forEach(collect);
  };
  for (const spec of ctx.live.get("panels")) {
    if (spec.id === ctx.spec.id) continue;
    // A chart of one series shows its streaming mean as well.
    for (const key of spec.keys) if (key !== "*") out.add(key).add(`${key}_ema`);
    const { reasons: _, ...options } = spec.options;
    collect(options);
    // A panel for one metric of a family (lora/…/delta_norm) stands for the family.
    for (const metric of (spec.options.metrics ?? []) as string[]) {
      for (const key of spec.keys) out.add(key.replace(/[^/]+$/, metric));
    }
  }
  return [...out];
}

function unclaimed(ctx: ViewContext): Series[] {
  const { store } = ctx.live;
  const taken = new Set(claimed(ctx).flatMap((pattern) => store.match(pattern)));
  const all = ctx.spec.keys.flatMap((key) => store.match(key));
  return [...new Set(all)].filter((series) => series.rows > 0 && !taken.has(series));
}

interface Card {
  el: HTMLElement;
  end: AbortController;
  paint: () => void;
  point: () => void;
}

function makeCard(series: Series, ctx: ViewContext, index: number, resized: () => void): Card {
  const end = new AbortController();
  ctx.signal.addEventListener("abort", () => end.abort(), { once: true, signal: end.signal });
  const value = h("b", {}, "–");
  const strip = h("div", { class: "nbm-strip" });
  const name = h("span", { title: series.spec.key }, series.spec.key);
  const el = h(
    "div",
    { class: "nbm-card", "data-metric": series.spec.key },
    h("div", {}, name, value),
    strip,
  );
  const own: ViewContext = { ...ctx, signal: end.signal };
  const plot = new Plot(strip, own, {
    unit: series.spec.unit,
    bare: true,
    log: () => false,
    smooth: () => false,
    colorAt: () => ctx.palette().hues[index % ctx.palette().hues.length] ?? "#888888",
  });
  plot.lines = [series];
  onResize(
    strip,
    (w, hgt) => {
      plot.resize(w, hgt);
      resized();
    },
    end.signal,
  );
  const point = () => {
    const x = ctx.ui.get("cursor");
    const now = x === null ? series.last() : series.at(x);
    setText(value, now ? short(now.value) : "–");
    setAttr(value, "title", now ? `${exact(now.value)} at step ${grouped(now.x)}` : null);
    plot.paintCursor();
  };
  const paint = () => {
    const last = series.last();
    plot.paint(`${series.spec.key}: ${last ? exact(last.value) : "no value"}`);
  };
  return { el, end, paint, point };
}

const metrics: View = {
  name: "metrics",
  mount(el, ctx) {
    const { live, ui, signal } = ctx;
    const filter = h("input", {
      class: "nbm-input",
      type: "search",
      placeholder: "filter keys",
      "aria-label": "filter metrics by key",
      "data-control": "filter",
    });
    ctx.tools.append(filter);
    const cards = h("div", { class: "nbm-cards" });
    const note = h("div", { class: "nbm-note" });
    el.append(cards, note);
    const made = new Map<Series, Card>();
    const drop = (series: Series, card: Card) => {
      card.end.abort();
      card.el.remove();
      made.delete(series);
    };
    const painted = ctx.loop.add(
      el,
      () => {
        const all = unclaimed(ctx);
        const text = filter.value.trim().toLowerCase();
        const found = all.filter((series) => series.spec.key.toLowerCase().includes(text));
        const shown = new Set(found.slice(0, MOST));
        for (const [series, card] of made) if (!shown.has(series)) drop(series, card);
        [...shown].forEach((series, index) => {
          let card = made.get(series);
          if (!card) {
            card = makeCard(series, ctx, index, painted.dirty);
            made.set(series, card);
          }
          if (cards.children[index] !== card.el)
            cards.insertBefore(card.el, cards.children[index] ?? null);
          card.paint();
        });
        return () => {
          for (const card of made.values()) card.point();
          filter.hidden = all.length <= 6 && text === "";
          const more = found.length - shown.size;
          setText(note, noteOf(all.length, found.length, more, filter.value));
          note.hidden = note.textContent === "";
        };
      },
      signal,
    );
    const pointed = ctx.loop.add(
      el,
      () => {
        for (const card of made.values()) card.point();
      },
      signal,
    );
    filter.addEventListener("input", painted.dirty, { signal });
    // Keys typed here are not the notebook's commands.
    filter.addEventListener("keydown", (event) => event.stopPropagation(), { signal });
    live.store.onChange(painted.dirty, signal);
    live.onTrait("panels", painted.dirty, signal);
    for (const topic of ["range", "look"] as const) ui.on(topic, painted.dirty, signal);
    ui.on("cursor", pointed.dirty, signal);
  },
};

function noteOf(all: number, found: number, more: number, text: string): string {
  if (all === 0)
    return "nothing else is logged; what trainer.log() or compute_metrics return appears here";
  if (found === 0) return `no key contains "${text}"`;
  return more > 0 ? `${more} more: type a part of a key to find one` : "";
}

export default metrics;
