/** The frame of a panel: title, collapse, tools, and the view inside. */

import type { Details } from "../details";
import type { FrameLoop } from "../frame";
import type { Live } from "../model";
import type { Palette } from "../paint";
import type { UiState } from "../ui";
import { h, setAttr, type View } from "../view";
import type { PanelSpec } from "../wire.gen";
import { pictureButton } from "./exports";

/** What all panels of a dashboard share. */
export interface Shared {
  readonly live: Live;
  readonly ui: UiState;
  readonly loop: FrameLoop;
  readonly details: Details;
  /** Save a panel as a picture. */
  readonly save: (panel: HTMLElement, title: string) => void;
  readonly palette: () => Palette;
}

/** Views by name, one per file of `views/`. */
const VIEWS = new Map(
  Object.values(import.meta.glob<{ default: View }>("../views/*.ts", { eager: true })).map(
    (module) => [module.default.name, module.default],
  ),
);

/** Views that are words rather than a picture. */
const TEXT = new Set(["readouts", "log"]);

function absentRow(spec: PanelSpec): HTMLElement {
  return h(
    "section",
    { class: "nbm-panel nbm-absent", "data-panel": spec.id, "data-absent": true, tabindex: 0 },
    h("h3", { class: "nbm-title" }, spec.title || spec.id),
    h("span", {}, spec.absent),
  );
}

function foldButton(
  spec: PanelSpec,
  ui: UiState,
  body: HTMLElement,
  signal: AbortSignal,
): HTMLElement {
  const fold = h("button", { type: "button", class: "nbm-fold", "data-control": "collapse" });
  const show = () => {
    const open = !ui.get("collapsed").has(spec.id);
    setAttr(fold, "aria-expanded", String(open));
    setAttr(fold, "aria-label", `${open ? "Collapse" : "Expand"} ${spec.title}`);
    body.hidden = !open;
  };
  fold.addEventListener("click", () => ui.toggle("collapsed", spec.id), { signal });
  ui.on("collapsed", show, signal);
  show();
  return fold;
}

/** Build a panel and mount its view; it lives until `signal` aborts. */
export function mountPanel(spec: PanelSpec, shared: Shared, signal: AbortSignal): HTMLElement {
  if (spec.absent) return absentRow(spec);
  const body = h("div", { class: "nbm-body" });
  const panel = h("section", {
    class: "nbm-panel",
    "data-panel": spec.id,
    "data-view": spec.view,
    "aria-label": spec.title || spec.id,
    tabindex: 0,
  });
  const tools = h("div", { class: "nbm-tools" });
  if (spec.view !== "readouts") {
    panel.append(
      h(
        "header",
        { class: "nbm-head" },
        foldButton(spec, shared.ui, body, signal),
        h("h3", { class: "nbm-title" }, spec.title || spec.id),
        tools,
      ),
    );
  }
  panel.append(body);
  const view = VIEWS.get(spec.view);
  if (view) {
    view.mount(body, { ...shared, spec, signal, tools });
    if (!TEXT.has(view.name)) {
      const title = spec.title || spec.id;
      tools.append(pictureButton(() => shared.save(panel, title), title, signal));
    }
  } else {
    const known = [...VIEWS.keys()].sort().join(", ");
    body.append(
      h("div", { class: "nbm-empty" }, `view "${spec.view}" is not known here; one of ${known} is`),
    );
  }
  return panel;
}
