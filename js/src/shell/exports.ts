/** Saving what the page shows: pictures, a table, a file that opens by itself. */

import { toCsv } from "../export/csv";
import { download, fileName } from "../export/download";
import { toHtml } from "../export/html";
import { rasterised, toPng } from "../export/raster";
import { resolution } from "../export/resolution";
import { dotted, grouped } from "../format";
import type { FrameLoop } from "../frame";
import type { Live } from "../model";
import type { Palette } from "../paint";
import type { UiState } from "../ui";
import { button, h } from "../view";
import type { Notice } from "./notice";
import { icon, popover } from "./popover";

const ICON = "M5 1l3 3H6v3H4V4H2zM1 8h8v1H1z";

export interface Exporter {
  /** Save one panel as a picture. */
  panel(el: HTMLElement, title: string): void;
  /** The menu of the whole dashboard. */
  readonly menu: HTMLElement;
}

interface Parts {
  live: Live;
  ui: UiState;
  loop: FrameLoop;
  palette: () => Palette;
  notice: Notice;
}

/** Step that any series has reached. */
function lastStep(live: Live): number | null {
  const steps = live.store.match("*").map((series) => series.last()?.x ?? -1);
  const most = Math.max(-1, ...steps);
  return most < 0 ? null : most;
}

export function makeExporter(root: HTMLElement, parts: Parts, signal: AbortSignal): Exporter {
  const { live, ui, loop, palette, notice } = parts;
  const name = () => String(live.get("config").name || live.get("config").model || "run");
  const made = () => new Date().toISOString().slice(0, 16).replace("T", " ");
  const stamp = () => {
    const step = lastStep(live);
    return step === null ? name() : `${name()}-step${step}`;
  };
  const shown = () => resolution(live.store.match("*").flatMap((series) => series.stretches()));

  /** Whatever goes wrong is told in the page: there is nobody else to tell. */
  const saved = async (ending: string, make: () => Promise<[Blob, string]>, part = "") => {
    try {
      const file = fileName(part ? `${stamp()}-${part}` : stamp(), ending);
      const [blob, told] = await make();
      download(blob, file);
      notice.say(`saved ${file}: ${told}`, "good");
    } catch (error) {
      notice.say(`nothing was saved: ${(error as Error).message}`, "bad");
    }
  };
  const picture = async (elements: HTMLElement[]): Promise<[Blob, string]> => {
    // What is off screen was not painted for a while, or never.
    loop.paintAll();
    const told = shown();
    const step = lastStep(live);
    const at = step === null ? "" : `step ${grouped(step)}`;
    const foot = {
      text: dotted("nbmonitor", name(), at, live.get("status").state, told, made()),
      color: palette().label,
      background: palette().bg,
      font: palette().font,
    };
    return [await toPng(rasterised(elements, foot)), told];
  };
  const dashboard = () => {
    const own = root.querySelectorAll<HTMLElement>(
      ":scope > .nbm-bar, :scope > .nbm-progress, :scope > .nbm-banner:not([hidden]), .nbm-grid:not([hidden]), :scope > .nbm-foot",
    );
    return saved("png", () => picture([...own]));
  };
  const csv = () =>
    saved("csv", async () => {
      const { parts: lines, resolution: told } = toCsv(live.store, name());
      return [new Blob(lines, { type: "text/csv" }), told];
    });
  const html = () =>
    saved("html", async () => {
      const look = { theme: ui.get("look"), background: palette().bg };
      const { text, resolution: told } = toHtml(live, look, `${name()} · nbmonitor`, made());
      return [new Blob([text], { type: "text/html" }), told];
    });

  const anchor = button("export", "EXPORT", "save what the page has", () => {}, signal);
  anchor.prepend(icon(ICON));
  const item = (id: string, label: string, hint: string, act: () => unknown) => {
    const press = () => {
      menu.close();
      void act();
    };
    return button(id, label, hint, press, signal);
  };
  const box = h(
    "div",
    { role: "group", "aria-label": "Export" },
    item("export-png", "PNG of this tab", "a picture of the dashboard as it is", dashboard),
    item("export-csv", "CSV", "a row per step, a column per key", csv),
    item("export-html", "HTML", "one file that opens from a disk, without a network", html),
    h("div", { class: "nbm-say" }, "from what this page has; the kernel may be busy or gone"),
  );
  const menu = popover(anchor, box, signal);
  return {
    menu: menu.el,
    panel: (el, title) => void saved("png", () => picture([el]), title),
  };
}

/** The small button by which a panel is saved. */
export function pictureButton(press: () => void, title: string, signal: AbortSignal): HTMLElement {
  const el = button("panel-png", "", `save ${title || "this panel"} as a PNG`, press, signal);
  el.classList.add("nbm-icon");
  el.setAttribute("aria-label", `Save ${title || "this panel"} as a PNG`);
  el.append(icon(ICON));
  return el;
}
