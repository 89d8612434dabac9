/** Tabs and the grids of panels under them, kept in step with the `panels` trait. */

import { h, setAttr } from "../view";
import type { PanelSpec } from "../wire.gen";
import { mountPanel, type Shared } from "./panel";
import { followPlaces } from "./places";

const ORDER = ["overview", "quality", "parameters", "generation", "log"];
const COLUMNS = 12;

interface Mounted {
  el: HTMLElement;
  text: string;
  end: AbortController;
}

interface Page {
  tab: HTMLButtonElement;
  grid: HTMLElement;
}

function rank(tab: string): number {
  const at = ORDER.indexOf(tab);
  return at < 0 ? ORDER.length - 1.5 : at;
}

/** Panels in order, those with nothing to show last. */
function arranged(specs: readonly PanelSpec[]): PanelSpec[] {
  return [...specs].sort(
    (a, b) => Number(a.absent !== "") - Number(b.absent !== "") || a.order - b.order,
  );
}

/** Rows of panels by the columns they ask for: indices from one row's first to its last. */
function rowsOf(widths: readonly number[]): [from: number, to: number][] {
  const rows: [number, number][] = [];
  let used = COLUMNS;
  for (const [i, width] of widths.entries()) {
    if (used + width > COLUMNS) {
      rows.push([i, i]);
      used = 0;
    }
    rows[rows.length - 1]![1] = i;
    used += width;
  }
  return rows;
}

/**
 * Columns of each panel: as asked, but the last of a row takes what would stay empty. A
 * collapsed one beside open ones gets a line of its own, so that they leave no hole under it.
 */
export function spans(
  specs: readonly PanelSpec[],
  collapsed: ReadonlySet<string> = new Set(),
): number[] {
  const asked = specs.map((s) => (s.absent ? COLUMNS : Math.min(COLUMNS, Math.max(1, s.span))));
  const folded = specs.map((s) => collapsed.has(s.id));
  for (const [from, to] of rowsOf(asked)) {
    const row = folded.slice(from, to + 1);
    if (row.every((yes) => yes === row[0])) continue;
    for (let i = from; i <= to; i++) if (folded[i]) asked[i] = COLUMNS;
  }
  for (const [from, to] of rowsOf(asked)) {
    const used = asked.slice(from, to + 1).reduce((sum, width) => sum + width, 0);
    asked[to]! += COLUMNS - used;
  }
  return asked;
}

/** Build the tabs into `root` and follow the `panels` trait until `signal` aborts. */
export function mountTabs(root: HTMLElement, shared: Shared, signal: AbortSignal): void {
  const list = h("div", {
    class: "nbm-tabs",
    role: "tablist",
    "aria-label": "Parts of the dashboard",
  });
  const host = h("div");
  const pages = new Map<string, Page>();
  const mounted = new Map<string, Mounted>();
  const prefix = `nbm-${Math.random().toString(36).slice(2, 8)}`;
  root.append(list, host);

  let shown = "";
  const select = (name: string, focus = false) => {
    shown = name;
    shared.ui.set("tab", name);
    for (const [key, { tab, grid }] of pages) {
      const on = key === name;
      setAttr(tab, "aria-selected", String(on));
      setAttr(tab, "tabindex", on ? "0" : "-1");
      grid.hidden = !on;
      if (on && focus) tab.focus();
    }
  };

  const page = (name: string): Page => {
    const known = pages.get(name);
    if (known) return known;
    const ids = [`${prefix}-tab-${name}`, `${prefix}-grid-${name}`] as const;
    const tab = h(
      "button",
      {
        type: "button",
        role: "tab",
        class: "nbm-tab",
        id: ids[0],
        "aria-controls": ids[1],
        "data-tab": name,
      },
      name,
    );
    const grid = h("div", {
      class: "nbm-grid",
      role: "tabpanel",
      id: ids[1],
      "aria-labelledby": ids[0],
    });
    tab.addEventListener("click", () => select(name), { signal });
    const made = { tab, grid };
    pages.set(name, made);
    return made;
  };

  list.addEventListener(
    "keydown",
    (event) => {
      const names = [...list.children].map((tab) => (tab as HTMLElement).dataset.tab ?? "");
      const at = names.indexOf(shared.ui.get("tab"));
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[
        event.key
      ];
      if (to === undefined) return;
      select(names[(to + names.length) % names.length] ?? "", true);
      event.preventDefault();
      event.stopPropagation();
    },
    { signal },
  );

  const panelOf = (spec: PanelSpec): HTMLElement => {
    const text = JSON.stringify(spec);
    const old = mounted.get(spec.id);
    if (old?.text === text) return old.el;
    old?.end.abort();
    const end = new AbortController();
    signal.addEventListener("abort", () => end.abort(), { once: true, signal: end.signal });
    const el = mountPanel(spec, shared, end.signal);
    mounted.set(spec.id, { el, text, end });
    return el;
  };

  const sync = () => {
    const specs = shared.live.get("panels");
    const ids = new Set(specs.map((spec) => spec.id));
    for (const [id, { el, end }] of mounted) {
      if (ids.has(id)) continue;
      end.abort();
      el.remove();
      mounted.delete(id);
    }
    const names = [...new Set(specs.map((spec) => spec.tab))].sort((a, b) => rank(a) - rank(b));
    for (const name of [...pages.keys()]) if (!names.includes(name)) pages.delete(name);
    for (const name of names) {
      const own = arranged(specs.filter((spec) => spec.tab === name));
      const widths = spans(own, shared.ui.get("collapsed"));
      const panels = own.map((spec, i) => {
        const el = panelOf(spec);
        el.style.setProperty("--span", String(widths[i]));
        return el;
      });
      place(page(name).grid, panels);
    }
    place(
      list,
      names.map((name) => page(name).tab),
    );
    place(
      host,
      names.map((name) => page(name).grid),
    );
    list.hidden = names.length < 2;
    select(names.includes(shared.ui.get("tab")) ? shared.ui.get("tab") : (names[0] ?? ""));
  };
  shared.live.onTrait("panels", sync, signal);
  shared.ui.on("collapsed", sync, signal);
  // Chosen in a dashboard beside this one, which may have a tab that isn't here.
  const follow = () => {
    const name = shared.ui.get("tab");
    if (name !== shown) select(pages.has(name) ? name : shown);
  };
  shared.ui.on("tab", follow, signal);
  followPlaces(host, shared.live, shared.ui, select, signal);
  sync();
}

/** Make `children` the children of `el`, moving none that is in place: a moved one loses focus. */
function place(el: HTMLElement, children: readonly HTMLElement[]): void {
  const same =
    el.children.length === children.length && children.every((c, i) => el.children[i] === c);
  if (!same) el.replaceChildren(...children);
}
