/** Which theme is in force: the viewer's, else the `theme` trait's, else the host page's. */

import type { Live } from "../model";
import type { UiState } from "../ui";

/** Whether the page around us is light: JupyterLab, Notebook and VS Code say so on the body. */
function lightHost(): boolean {
  const { body } = document;
  const jupyter = body.dataset.jpThemeLight;
  if (jupyter !== undefined) return jupyter === "true";
  const kind = body.dataset.vscodeThemeKind;
  if (kind !== undefined) return kind.includes("light");
  return typeof matchMedia === "function" && matchMedia("(prefers-color-scheme: light)").matches;
}

export function followTheme(live: Live, ui: UiState, signal: AbortSignal): void {
  const apply = () => {
    const wanted = ui.get("theme") ?? live.get("theme");
    const light = wanted === "light" || (wanted === "auto" && lightHost());
    ui.set("look", light ? "light" : "neon");
  };
  ui.on("theme", apply, signal);
  live.onTrait("theme", apply, signal);
  if (typeof MutationObserver !== "undefined") {
    const observer = new MutationObserver(apply);
    const attributeFilter = ["data-jp-theme-light", "data-vscode-theme-kind"];
    observer.observe(document.body, { attributes: true, attributeFilter });
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }
  if (typeof matchMedia === "function") {
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", apply, { signal });
  }
  apply();
}
