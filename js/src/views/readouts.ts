/** The six large figures. Text only; says "–" and why where nothing is measured. */

import { duration, grouped, short } from "../format";
import { h, setAttr, setText, type View, type ViewContext } from "../view";
import type { RunEvent, Status } from "../wire.gen";

interface Item {
  id: string;
  label: string;
  key: string;
}

interface Shown {
  text: string;
  /** In place of the item's own label. */
  label?: string;
  /** Set smaller behind the text: the total. */
  total?: string;
  title: string;
  bad?: boolean;
}

const OVER = new Set(["finished", "interrupted", "failed"]);

/** Seconds from the last start to the end, as the events of the run tell; null if they don't. */
export function took(events: readonly RunEvent[]): number | null {
  let start: number | null = null;
  let end: number | null = null;
  let before = "";
  for (const { kind, time, data } of events) {
    if (kind !== "status") continue;
    const state = String(data.status);
    // Going on after a pause is no new start.
    if (state === "running" && before !== "paused") [start, end] = [time, null];
    else if (OVER.has(state)) end = time;
    before = state;
  }
  return start === null || end === null || end < start ? null : end - start;
}

function missing(item: Item, status: Status): Shown {
  const why =
    status.state === "waiting"
      ? "the run has not started yet"
      : `no value of ${item.key} has been logged`;
  return { text: "–", title: `${item.label}: ${why}` };
}

/** What one readout says now. */
function read(item: Item, ctx: ViewContext): Shown {
  const status = ctx.live.get("status");
  const last = ctx.live.store.series(item.key)?.last() ?? null;
  if (item.id === "eta" && OVER.has(status.state)) {
    const seconds = took(ctx.live.store.events);
    if (seconds === null) return { text: "–", title: `ETA: the run is ${status.state}` };
    const title = "from the start of the training to its end, pauses included";
    return { text: duration(seconds), label: "DURATION", title };
  }
  if (!last) return missing(item, status);
  const value = last.value;
  const bad = !Number.isFinite(value);
  const title = `${item.label} at step ${grouped(last.x)}`;
  switch (item.id) {
    case "step": {
      const total = status.total_steps > 0 ? `/${grouped(status.total_steps)}` : "";
      return { text: grouped(last.x), total, title: "optimiser steps done / planned" };
    }
    case "epoch": {
      const total = status.total_epochs > 0 ? `/${Number(status.total_epochs.toFixed(1))}` : "";
      const digits = value < 0.1 ? 2 : 1;
      return { text: bad ? short(value) : value.toFixed(digits), total, title, bad };
    }
    case "eta":
      return bad
        ? { text: "–", title: "ETA: not enough steps for an estimate yet" }
        : { text: `≈${duration(value)}`, title: "time left, an estimate from the pace so far" };
    default:
      return { text: short(value), title: `${title}: ${value}`, bad };
  }
}

const readouts: View = {
  name: "readouts",
  mount(el, ctx) {
    const items = (ctx.spec.options.items ?? []) as Item[];
    const box = h("div", { class: "nbm-readouts" });
    const cells = items.map((item) => {
      const value = document.createTextNode("–");
      const total = h("small");
      const figure = h("b", {}, value, total);
      const label = item.id === "eta" ? `${item.label} (est.)` : item.label;
      const name = h("div", {}, label);
      const cell = h("div", { class: "nbm-readout", "data-readout": item.id }, name, figure);
      box.append(cell);
      return { item, label, name, cell, figure, value, total };
    });
    el.append(box);
    const painted = ctx.loop.add(
      el,
      () => () => {
        for (const { item, label, name, cell, figure, value, total } of cells) {
          const shown = read(item, ctx);
          setText(name, shown.label ?? label);
          if (value.data !== shown.text) value.data = shown.text;
          setText(total, shown.total ?? "");
          setAttr(cell, "title", shown.title);
          setAttr(figure, "class", shown.bad ? "nbm-bad" : null);
        }
      },
      ctx.signal,
    );
    ctx.live.store.onChange(painted.dirty, ctx.signal);
    ctx.live.onTrait("status", painted.dirty, ctx.signal);
  },
};

export default readouts;
