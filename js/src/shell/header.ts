/** Title bar: what runs, in which state, over which link, and the tools of the whole view. */

import type { Live } from "../model";
import { ROLLING, type UiState } from "../ui";
import { button, h, setAttr, setText } from "../view";
import { mountAlarm } from "./alarm";

const OVER = new Set(["finished", "interrupted", "failed"]);
const LINKS = { live: "LIVE", quiet: "QUIET", lost: "KERNEL LOST", saved: "SAVED" } as const;

function tools(ui: UiState, signal: AbortSignal): HTMLElement {
  const range = button(
    "range",
    "",
    "",
    () => {
      const now = ui.get("range");
      if (now === "rolling" || now === "all")
        ui.set("range", now === "rolling" ? "all" : "rolling");
      else ui.resetRange();
    },
    signal,
  );
  const showRange = () => {
    const now = ui.get("range");
    const zoomed = now !== "rolling" && now !== "all";
    setText(range, zoomed ? "ZOOM ✕" : now === "rolling" ? `LAST ${ROLLING}` : "ALL");
    setAttr(range, "data-range", zoomed ? "zoom" : now);
    setAttr(range, "aria-pressed", String(zoomed || now === "all"));
    const next = now === "rolling" ? "the whole run" : `the last ${ROLLING} points`;
    setAttr(
      range,
      "title",
      zoomed ? "back to the view before the zoom" : `show ${next}; drag in a chart to zoom`,
    );
  };
  const theme = button(
    "theme",
    "",
    "",
    () => {
      ui.set("theme", ui.get("look") === "neon" ? "light" : "neon");
    },
    signal,
  );
  const showTheme = () => {
    const other = ui.get("look") === "neon" ? "light" : "neon";
    setText(theme, other.toUpperCase());
    setAttr(theme, "title", `change to the ${other} theme`);
  };
  const scan = button(
    "scanlines",
    "SCAN",
    "faint scan lines, as on a tube",
    () => {
      ui.set("scanlines", !ui.get("scanlines"));
    },
    signal,
  );
  const showScan = () => setAttr(scan, "aria-pressed", String(ui.get("scanlines")));
  ui.on("range", showRange, signal);
  ui.on("look", showTheme, signal);
  ui.on("scanlines", showScan, signal);
  showRange();
  showTheme();
  showScan();
  return h("div", { class: "nbm-tools" }, range, theme, scan);
}

/** Build the title bar and the progress bar into `root`; `extra` stands among the tools. */
export function mountHeader(
  root: HTMLElement,
  live: Live,
  ui: UiState,
  extra: readonly HTMLElement[],
  signal: AbortSignal,
): void {
  const about = h("div", { class: "nbm-about" });
  const state = h("span", { class: "nbm-state", role: "status" });
  const link = h("span", { class: "nbm-link" });
  const fill = h("div");
  const bar = h(
    "div",
    {
      class: "nbm-progress",
      role: "progressbar",
      "aria-label": "Progress",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    },
    fill,
  );
  const own = tools(ui, signal);
  own.append(...extra);
  root.append(
    h(
      "header",
      { class: "nbm-bar" },
      h("h2", { class: "nbm-brand" }, "NBMONITOR"),
      about,
      state,
      link,
      mountAlarm(live, ui, signal),
      own,
    ),
    bar,
  );

  const showAbout = () => {
    const { name, method, model } = live.get("config");
    const parts = [name, method?.toUpperCase(), model].filter(
      (p, i, all) => p && all.indexOf(p) === i,
    );
    about.replaceChildren(...parts.map((part) => h("span", { title: part }, part ?? "")));
  };
  const showState = () => {
    const status = live.get("status");
    setAttr(state, "data-state", status.state);
    setText(state, status.state.toUpperCase());
    setAttr(state, "title", [status.message, status.detail].filter(Boolean).join("\n") || null);
    showLink();
  };
  const showLink = () => {
    const { state: now, message, note } = live.link;
    // A kernel that is there, with nothing to send any more.
    const idle = now === "live" && OVER.has(live.get("status").state);
    setAttr(link, "data-link", idle ? "idle" : now);
    setText(link, idle ? "IDLE" : LINKS[now]);
    const why = idle ? "the kernel is there; this run is over" : message;
    setAttr(link, "title", [why, note].filter(Boolean).join("\n") || null);
  };
  live.onTrait("config", showAbout, signal);
  live.onTrait("status", showState, signal);
  live.onLink(showLink, signal);
  showAbout();
  showState();
}

/** Milliseconds that the light of a running run stays bright, and dark. */
const BEAT_MS = 800;

/**
 * Let the light blink as long as news arrives. An endless animation would make the browser
 * compose the page sixty times a second, and go on blinking when nothing arrives any more.
 */
export function showBeat(root: HTMLElement, now: number): void {
  const state = root.querySelector(".nbm-state");
  if (state) setAttr(state, "data-beat", Math.floor(now / BEAT_MS) % 2 ? "" : null);
}

/** Progress of the run from 0 to 1, on the bar that `mountHeader` made; null hides it. */
export function showProgress(root: HTMLElement, part: number | null): void {
  const bar = root.querySelector<HTMLElement>(".nbm-progress");
  const fill = bar?.firstElementChild as HTMLElement | undefined;
  if (!bar || !fill) return;
  const percent = part === null ? 0 : Math.min(100, Math.max(0, part * 100));
  setAttr(bar, "aria-valuenow", part === null ? null : percent.toFixed(0));
  setAttr(fill, "style", `transform:scaleX(${(percent / 100).toFixed(4)})`);
}
