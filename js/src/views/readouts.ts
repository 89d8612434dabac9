/** The six large figures. Text only; says "–" and why where nothing is measured. */

import { duration, grouped, short } from "../format";
import { h, setAttr, setText, type View, type ViewContext } from "../view";
import type { Status } from "../wire.gen";

interface Item {
  id: string;
  label: string;
  key: string;
}

interface Shown {
  text: string;
  /** Set smaller behind the text: the total. */
  total?: string;
  title: string;
  bad?: boolean;
}

const RUNNING = new Set(["running", "paused"]);

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
  if (item.id === "eta" && !RUNNING.has(status.state) && status.state !== "waiting") {
    return { text: "–", title: `ETA: the run is ${status.state}` };
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
      const hint = item.id === "eta" ? `${item.label} (est.)` : item.label;
      const cell = h(
        "div",
        { class: "nbm-readout", "data-readout": item.id },
        h("div", {}, hint),
        figure,
      );
      box.append(cell);
      return { item, cell, figure, value, total };
    });
    el.append(box);
    const painted = ctx.loop.add(
      el,
      () => () => {
        for (const { item, cell, figure, value, total } of cells) {
          const shown = read(item, ctx);
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
