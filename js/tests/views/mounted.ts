/** One view on a made-up run, without the shell; tells whether it left anything behind. */

import { expect, vi } from "vitest";
import { FrameLoop } from "../../src/frame";
import type { Palette } from "../../src/paint";
import { UiState } from "../../src/ui";
import type { View } from "../../src/view";
import type { PanelSpec } from "../../src/wire.gen";
import { FakeLive } from "../live";
import { runFrames } from "./page";

export const PALETTE = {
  bg: "#0a0e1a",
  grid: "#1a2a3a",
  border: "#1a3a4a",
  loss: "#39ff14",
  lr: "#00ffff",
  eval: "#ff00ff",
  glow: 0,
  font: "11px monospace",
  hues: ["#00ffff", "#ff8c1a"],
  panel: "#0d1420",
  gauge: "#00ffff",
  grad: "#ffd700",
  hot: "#ff3333",
  warn: "#ffb020",
  label: "#8fa3b5",
  readout: "#e0e0e0",
  heat: ["#101a2b", "#fdfb9c"],
} satisfies Palette;

export const panel = (id: string, rest: Partial<PanelSpec> = {}): PanelSpec => ({
  id,
  title: id,
  view: id,
  keys: [],
  tab: "quality",
  order: 10,
  span: 12,
  absent: "",
  options: {},
  ...rest,
});

/** The prototype that elements have `addEventListener` from; the global one may be another's. */
function listenable(): EventTarget {
  let proto: object = document.createElement("div");
  while (!Object.hasOwn(proto, "addEventListener")) proto = Object.getPrototypeOf(proto);
  return proto as EventTarget;
}

export function mounted(view: View, rest: Partial<PanelSpec> = {}) {
  const added = vi.spyOn(listenable(), "addEventListener");
  const end = new AbortController();
  const live = new FakeLive();
  const heard: AbortSignal[] = [];
  const listen = live.store.onChange.bind(live.store);
  live.store.onChange = (fn, signal) => {
    heard.push(signal);
    listen(fn, signal);
  };
  const ui = new UiState();
  const el = document.createElement("section");
  const body = document.createElement("div");
  const tools = document.createElement("div");
  el.append(tools, body);
  document.body.append(el);
  view.mount(body, {
    spec: panel(view.name, rest),
    live,
    ui,
    loop: new FrameLoop(end.signal),
    details: {
      onChange: () => {},
      refine: (course: unknown) => ({ course, summary: "" }),
    } as never,
    palette: () => PALETTE,
    signal: end.signal,
    tools,
  });
  const shown = async () => {
    await runFrames();
    return el;
  };
  const key = (target: Element | null, name: string) =>
    target?.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  /** End it, and look no further: uPlot removes its listeners itself. */
  const close = () => {
    end.abort();
    added.mockRestore();
    el.remove();
  };
  /** End it; every listener must have hung on a signal that is aborted now. */
  const leave = () => {
    end.abort();
    const left = added.mock.calls.filter(([type, , options]) => {
      if (type === "abort") return false;
      const signal = (options as AddEventListenerOptions | undefined)?.signal;
      return signal?.aborted !== true;
    });
    expect(left.map(([type]) => type)).toEqual([]);
    const own = added.mock.calls.filter(([type]) => type !== "abort");
    expect(Math.min(own.length, heard.length)).toBeGreaterThan(0);
    expect(heard.every((signal) => signal.aborted)).toBe(true);
    added.mockRestore();
    el.remove();
  };
  return { el, live, ui, shown, key, leave, close };
}
