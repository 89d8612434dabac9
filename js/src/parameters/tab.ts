/**
 * The Parameters tab as it travels: with the styles that nothing else needs, packed until a
 * viewer opens it. What it shares with the dashboard is handed to it; see `vite/packed.ts`.
 */

import styles from "../styles/parameters_tab.css?inline";
import { h, type ViewContext } from "../view";
import { ParametersPanel } from "./panel";

/** Mount the tab into `el`, until the signal of `ctx` aborts. */
export function mountTab(el: HTMLElement, ctx: ViewContext): void {
  // Beside what it styles, so that it also holds in a shadow root, and goes with it.
  el.append(h("style", {}, styles));
  new ParametersPanel(el, ctx);
}
