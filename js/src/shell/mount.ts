/** The dashboard: shell around panels. Everything it makes ends with the signal. */

import { Controls } from "../controls";
import { Details } from "../details";
import { FrameLoop } from "../frame";
import type { Live } from "../model";
import { type Palette, readPalette } from "../paint";
import { UiState } from "../ui";
import { h, setAttr } from "../view";
import { mountBanner } from "./banner";
import { mountControls } from "./controls";
import { makeExporter } from "./exports";
import { mountFooter } from "./footer";
import { mountHeader, showBeat, showProgress } from "./header";
import { makeNotice } from "./notice";
import { followNeighbours } from "./pair";
import { mountTabs } from "./tabs";
import { followTheme } from "./theme";

/** Mount a dashboard of `live` into `el` until `signal` aborts. */
export function mountDashboard(el: HTMLElement, live: Live, signal: AbortSignal): void {
  if (signal.aborted) return;
  const root = h("div", { class: "nbmonitor", "data-theme": "neon" });
  el.append(root);
  signal.addEventListener("abort", () => root.remove(), { once: true });
  const ui = new UiState(live.kept, signal);
  const loop = new FrameLoop(signal);
  let colors: Palette | null = null;
  const palette = () => {
    colors ??= readPalette(root);
    return colors;
  };
  ui.on(
    "look",
    () => {
      setAttr(root, "data-theme", ui.get("look"));
      colors = null;
    },
    signal,
  );
  ui.on("scanlines", () => root.toggleAttribute("data-scanlines", ui.get("scanlines")), signal);
  followTheme(live, ui, signal);
  followNeighbours(root, ui, signal);
  const notice = makeNotice(signal);
  const exporter = makeExporter(root, { live, ui, loop, palette, notice }, signal);
  mountHeader(root, live, ui, [exporter.menu], signal);
  mountControls(root, live, new Controls(live, signal), notice, signal);
  mountBanner(root, live, signal);
  const details = new Details(live, signal);
  const save = exporter.panel;
  mountTabs(root, { live, ui, loop, palette, details, save }, signal);
  mountFooter(root, live, signal);
  announce(root, live, loop, signal);
}

/** Step that the run has reached, as far as the page knows. */
function reached(live: Live): number {
  const { store } = live;
  const keys = ["train/loss", "train/step_time", "train/epoch", "train/learning_rate"];
  return Math.max(0, ...keys.map((key) => store.series(key)?.last()?.x ?? 0));
}

/** After each frame that showed new data: move the progress bar, and say so for whoever measures. */
function announce(root: HTMLElement, live: Live, loop: FrameLoop, signal: AbortSignal): void {
  let version = live.store.version;
  const progress = () => {
    const total = live.get("status").total_steps;
    showProgress(root, total > 0 ? reached(live) / total : null);
  };
  loop.afterFrame((now) => {
    if (live.store.version === version) return;
    version = live.store.version;
    progress();
    showBeat(root, now);
    const detail = { seq: live.store.seq, step: reached(live) };
    root.dispatchEvent(new CustomEvent("nbmonitor:painted", { detail }));
  }, signal);
  live.onTrait("status", progress, signal);
  progress();
}
