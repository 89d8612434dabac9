/**
 * Which layers and kinds are shown, and how weak a cell must be to fade: elements that tell the
 * filters and change them. A layer's cell is the brighter the more the layer has just changed.
 */

import { short } from "../format";
import { ink, mixed, type Palette } from "../paint";
import { button, h, setAttr, setText } from "../view";
import {
  changeByLayer,
  type Filters,
  hiddenBy,
  kindCounts,
  layerName,
  PRESETS,
  presetOf,
  TOPS,
  toggled,
} from "./filters";
import type { Kind, ParametersMeta } from "./stage";

const NAMES: Partial<Record<Kind, string>> = { mlp: "MLP", lora: "LoRA" };

export interface FilterBoxOptions {
  readonly get: () => Filters;
  readonly set: (filters: Filters) => void;
  readonly palette: () => Palette;
  readonly signal: AbortSignal;
}

export class FilterBox {
  readonly el = h("section", { class: "nbm-sidebox", "aria-label": "Filters" });
  readonly #options: FilterBoxOptions;
  #meta: ParametersMeta | null = null;
  #end: AbortController | null = null;
  #presets = new Map<string, HTMLButtonElement>();
  #layers = new Map<string, HTMLButtonElement>();
  #kinds = new Map<Kind, HTMLButtonElement>();
  #threshold = h("input", {
    type: "range",
    min: 0,
    max: 100,
    step: 1,
    value: 0,
    class: "nbm-range",
    "data-control": "threshold",
    "aria-label": "Fade cells below",
  });
  #below = h("output", {});
  #top: HTMLSelectElement;
  #told = h("span", { class: "nbm-side-note" });

  constructor(options: FilterBoxOptions) {
    this.#options = options;
    const { get, set, signal } = options;
    this.#top = h(
      "select",
      { class: "nbm-select", "data-control": "top-k", "aria-label": "Only the most changed" },
      ...TOPS.map((k) => h("option", { value: k }, k === 0 ? "all" : `top ${k}`)),
    );
    this.#top.addEventListener("change", () => set({ ...get(), top: Number(this.#top.value) }), {
      signal,
    });
    this.#threshold.addEventListener(
      "input",
      () => set({ ...get(), threshold: Number(this.#threshold.value) / 100 }),
      { signal },
    );
    signal.addEventListener("abort", () => this.#end?.abort(), { once: true });
  }

  /** Make the buttons anew for another model. */
  setMeta(meta: ParametersMeta): void {
    if (meta === this.#meta) return;
    this.#meta = meta;
    this.#end?.abort();
    this.#end = new AbortController();
    const { signal } = this.#end;
    const { get, set } = this.#options;
    this.#presets.clear();
    this.#layers.clear();
    this.#kinds.clear();
    const presets = h("div", { class: "nbm-seg", role: "group", "aria-label": "Layers" });
    for (const preset of PRESETS) {
      const title = preset === "all" || preset === "none" ? `${preset} layers` : `${preset} third`;
      const press = () => set({ ...get(), hidden: hiddenBy(meta, preset) });
      const el = button(`layers-${preset}`, preset, title, press, signal);
      this.#presets.set(preset, el);
      presets.append(el);
    }
    const stacks = [...new Set(meta.layers.map(({ stack }) => stack))];
    const strips = stacks.map((stack) => {
      const strip = h("div", {
        class: "nbm-layers",
        role: "group",
        "aria-label": `Stack ${stack}`,
      });
      if (stacks.length > 1) strip.append(h("span", {}, stack));
      for (const layer of meta.layers.filter((l) => l.stack === stack)) {
        const name = layerName(stack, layer.index);
        const press = () => set({ ...get(), hidden: toggled(get().hidden, name) });
        const el = button(`layer-${name}`, String(layer.index), layer.label, press, signal);
        this.#layers.set(name, el);
        strip.append(el);
      }
      return strip;
    });
    const kinds = h("div", { class: "nbm-kinds", role: "group", "aria-label": "Kinds" });
    for (const [kind, count] of kindCounts(meta)) {
      const press = () => set({ ...get(), without: toggled(get().without, kind) });
      const el = button(`kind-${kind}`, "", "", press, signal);
      el.removeAttribute("title");
      setAttr(el, "data-explain", `kind:${kind}`);
      el.append(NAMES[kind] ?? kind, h("small", {}, String(count)));
      this.#kinds.set(kind, el);
      kinds.append(el);
    }
    const row = (label: string, ...children: Node[]) =>
      h("div", { class: "nbm-siderow" }, h("span", {}, label), ...children);
    this.el.replaceChildren(
      h("h4", { class: "nbm-sidehead" }, "Layers", this.#told),
      presets,
      ...strips,
      kinds,
      row("changed", this.#top),
      row("fade <", this.#threshold, this.#below),
    );
  }

  /** Tell the filters; `stats` are those of the snapshot that is shown. */
  show(stats: Float32Array, shown: number, value: number): void {
    const meta = this.#meta;
    if (!meta) return;
    const { hidden, without, top, threshold } = this.#options.get();
    const palette = this.#options.palette();
    const preset = presetOf(meta, hidden);
    for (const [name, el] of this.#presets) setAttr(el, "aria-pressed", String(name === preset));
    const change = changeByLayer(meta, stats);
    const most = Math.max(...change.values(), 0);
    for (const [name, el] of this.#layers) {
      const own = change.get(name);
      const part = own !== undefined && most > 0 ? own / most : 0;
      const color = mixed(palette.panel, palette.grad, 0.08 + 0.62 * part);
      const on = !hidden.has(name);
      setAttr(el, "aria-pressed", String(on));
      setAttr(el, "style", on ? `background:${color};color:${ink(color)}` : null);
      const label = meta.layers.find((l) => layerName(l.stack, l.index) === name)?.label ?? name;
      const told = own === undefined ? "change –" : `change ‖ΔW‖/‖W‖ ${short(own)}`;
      setAttr(el, "title", `${label}: ${told}`);
    }
    for (const [kind, el] of this.#kinds) setAttr(el, "aria-pressed", String(!without.has(kind)));
    this.#top.value = String(top);
    this.#threshold.value = String(Math.round(100 * threshold));
    setText(this.#below, threshold > 0 ? short(value) : "off");
    setText(this.#told, `${shown} of ${meta.matrices.length} shown`);
  }
}
