/**
 * Sorts series into rows, one per layer. Pure. A key is `area/<group>/<layer>/<module>/<metric>`;
 * modules of a layer are told as one. Or it is `area/<layer>.<module>/<metric>`: each has a row
 * of its own, because what it tells (say, a ratio) may not be summed.
 */

import { combined } from "./combine";
import type { Source } from "./data";

export interface Choice {
  group: string;
  /** A module, or "" for all of them together. */
  module: string;
  metric: string;
}

export interface Choices {
  groups: string[];
  modules: string[];
  metrics: string[];
}

interface Parts {
  group: string;
  layer: string;
  module: string;
  metric: string;
}

function partsOf(key: string): Parts | null {
  const parts = key.split("/");
  if (parts.length === 3) {
    const [, layer = "", metric = ""] = parts;
    return { group: "", layer, module: /\.([^.]+)$/.exec(layer)?.[1] ?? "", metric };
  }
  if (parts.length !== 5) return null;
  const [, group = "", layer = "", module = "", metric = ""] = parts;
  return { group, layer, module, metric };
}

/** What there is to choose from, in the order of the series. */
export function choicesOf(all: readonly Source[]): Choices {
  const sets = { group: new Set<string>(), module: new Set<string>(), metric: new Set<string>() };
  for (const source of all) {
    const parts = partsOf(source.spec.key);
    if (!parts) continue;
    sets.group.add(parts.group);
    if (parts.module) sets.module.add(parts.module);
    sets.metric.add(parts.metric);
  }
  return { groups: [...sets.group], modules: [...sets.module].sort(), metrics: [...sets.metric] };
}

/** One source per layer, in numeric order of the layers' names. */
export function layerRows(all: readonly Source[], choice: Choice): Source[] {
  const layers = new Map<string, Source[]>();
  for (const source of all) {
    const parts = partsOf(source.spec.key);
    if (!parts || parts.group !== choice.group || parts.metric !== choice.metric) continue;
    if (choice.module && parts.module !== choice.module) continue;
    if (source.rows === 0) continue;
    layers.set(parts.layer, [...(layers.get(parts.layer) ?? []), source]);
  }
  const names = [...layers.keys()];
  // Names that are no numbers stand in the order of the model, as they were declared.
  if (names.every((name) => /^[\d-]/.test(name) && !name.includes("."))) {
    names.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  }
  return names.map((name) =>
    combined(layers.get(name) ?? [], name, /^\d/.test(name) ? `layer ${name}` : name),
  );
}
