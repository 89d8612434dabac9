/**
 * What a view is, and what every view needs: elements, a canvas that fits its box.
 * A view draws series; it knows no probe and no other view.
 */

import type { Details } from "./details";
import type { FrameLoop } from "./frame";
import type { Live } from "./model";
import type { Palette } from "./paint";
import type { UiState } from "./ui";
import type { PanelSpec } from "./wire.gen";

export interface ViewContext {
  readonly spec: PanelSpec;
  readonly live: Live;
  readonly ui: UiState;
  readonly loop: FrameLoop;
  /** Finer rows of old steps, for whoever zooms in. */
  readonly details: Details;
  /** Colours of the present theme; `ui.on("look")` tells when they change. */
  readonly palette: () => Palette;
  /** Ends with the panel: every listener, observer and loop entry hangs on it. */
  readonly signal: AbortSignal;
  /** Where a view puts its small controls, in the head of its panel. */
  readonly tools: HTMLElement;
}

/** One file of `views/` exports one of these as default; `name` is the file's name. */
export interface View {
  readonly name: string;
  mount(el: HTMLElement, ctx: ViewContext): void;
}

type Props = Record<string, string | number | boolean | null | undefined>;

/** A new element with attributes; false, null and undefined leave an attribute out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    el.setAttribute(name, value === true ? "" : String(value));
  }
  el.append(...children);
  return el;
}

/** Set the text of `el`, touching the page only if it differs. */
export function setText(el: Element, text: string): void {
  if (el.textContent !== text) el.textContent = text;
}

/** Set or remove an attribute, touching the page only if it differs. */
export function setAttr(el: Element, name: string, value: string | null): void {
  if (value === null) {
    if (el.hasAttribute(name)) el.removeAttribute(name);
  } else if (el.getAttribute(name) !== value) {
    el.setAttribute(name, value);
  }
}

/** Call `fn` when the tensor `key` is another one: most messages bring none. */
export function onTensor(live: Live, key: string, fn: () => void, signal: AbortSignal): void {
  let seen = live.store.tensor(key);
  live.store.onChange(() => {
    const now = live.store.tensor(key);
    if (now === seen) return;
    seen = now;
    fn();
  }, signal);
}

/** A small button that calls `press`; `pressed` tells whether it is on, for toggles. */
export function button(
  id: string,
  text: string,
  title: string,
  press: () => void,
  signal: AbortSignal,
): HTMLButtonElement {
  const el = h("button", { type: "button", class: "nbm-button", "data-control": id, title }, text);
  el.addEventListener("click", press, { signal });
  return el;
}

/** Keep the keys that are typed in `el` from the notebook, which has its own use for them. */
export function keepKeys(el: HTMLElement, signal: AbortSignal): void {
  // JupyterLab looks for this attribute, because it hears a key before any element does.
  el.setAttribute("data-lm-suppress-shortcuts", "true");
  el.addEventListener("keydown", (event) => event.stopPropagation(), { signal });
}

/** Call `fn` with the content size of `el` in a moment and whenever it changes. */
export function onResize(
  el: Element,
  fn: (width: number, height: number) => void,
  signal: AbortSignal,
): void {
  if (typeof ResizeObserver === "undefined") return;
  const observer = new ResizeObserver((entries) => {
    const box = entries[entries.length - 1]?.contentRect;
    if (box && box.width > 0 && box.height > 0) fn(box.width, box.height);
  });
  observer.observe(el);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });
}

export interface Picture {
  readonly canvas: HTMLCanvasElement;
  /** Size in CSS pixels. */
  readonly width: number;
  readonly height: number;
  /** A cleared context in CSS pixels, or null where there is no canvas or no room. */
  begin(): CanvasRenderingContext2D | null;
}

/** A canvas that fills `el`, sharp on any screen; `resized` asks for a paint. */
export function picture(el: HTMLElement, resized: () => void, signal: AbortSignal): Picture {
  const canvas = h("canvas", { class: "nbm-canvas", role: "img" });
  el.append(canvas);
  const size = { width: 0, height: 0 };
  onResize(
    el,
    (width, height) => {
      size.width = Math.floor(width);
      size.height = Math.floor(height);
      resized();
    },
    signal,
  );
  return {
    canvas,
    get width() {
      return size.width;
    },
    get height() {
      return size.height;
    },
    begin() {
      const ratio = window.devicePixelRatio || 1;
      const [w, hgt] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
      if (w === 0 || hgt === 0) return null;
      if (canvas.width !== w || canvas.height !== hgt) {
        canvas.width = w;
        canvas.height = hgt;
      }
      const ctx = canvas.getContext("2d");
      ctx?.setTransform(ratio, 0, 0, ratio, 0, 0);
      ctx?.clearRect(0, 0, size.width, size.height);
      return ctx;
    },
  };
}
