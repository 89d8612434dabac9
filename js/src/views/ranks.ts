/** One row per process of a training: its pace, loss, memory and state; above, who lags or is silent. */

import { bytes, grouped, short, withUnit } from "../format";
import { clamp } from "../scale";
import { h, setAttr, setText, type View, type ViewContext } from "../view";

/** Values of `rank/<r>/state`. */
const STATES = ["at work", "straggler", "silent", "ended", "not heard"];
const [, LAGS, SILENT, ENDED, UNHEARD] = [0, 1, 2, 3, 4];

const COLUMNS = [
  ["rank", "RANK"],
  ["step", "STEP"],
  ["pace", "TIME A STEP"],
  ["loss", "LOSS"],
  ["rate", "SAMPLES/S"],
  ["memory", "MEMORY"],
  ["gpu", "GPU"],
  ["state", "STATE"],
] as const;
type Name = (typeof COLUMNS)[number][0];

interface Row {
  readonly el: HTMLTableRowElement;
  readonly cells: Record<Name, HTMLElement>;
  readonly fill: HTMLElement;
  readonly time: HTMLElement;
}

function last(ctx: ViewContext, key: string): number | undefined {
  const value = ctx.live.store.series(key)?.last()?.value;
  return value === undefined ? undefined : Number(value);
}

/** Seconds of a step with three digits: the durations of `format` are for people who wait. */
function spell(seconds: number): string {
  return seconds < 1 ? `${short(seconds * 1000)} ms` : `${short(seconds)} s`;
}

function ranks(ctx: ViewContext): number[] {
  const found = new Set<number>();
  for (const series of ctx.live.store.match("rank/*/*")) {
    const rank = Number(series.spec.key.split("/")[1]);
    if (Number.isInteger(rank)) found.add(rank);
  }
  return [...found].sort((a, b) => a - b);
}

function build(rank: number): Row {
  const fill = h("div");
  const time = h("span");
  const cells = {} as Record<Name, HTMLElement>;
  for (const [name] of COLUMNS) {
    cells[name] =
      name === "rank" ? h("th", { scope: "row" }, String(rank)) : h("td", { "data-cell": name });
  }
  cells.pace.append(time, h("div", { class: "nbm-track", "aria-hidden": "true" }, fill));
  const el = h("tr", { "data-rank": rank }, ...COLUMNS.map(([name]) => cells[name]));
  return { el, cells, fill, time };
}

/** Own work where all ranks have measured it, else the whole step, which is much the same for all. */
function paceOf(ctx: ViewContext, all: readonly number[]): { name: string; slowest: number } {
  const known = (name: string) => all.map((rank) => last(ctx, `rank/${rank}/${name}`));
  const work = known("work_time");
  const name = work.length > 0 && work.every((v) => v !== undefined) ? "work_time" : "step_time";
  const values = name === "work_time" ? work : known(name);
  return { name, slowest: Math.max(0, ...values.filter((v) => v !== undefined)) };
}

function gpuText(ctx: ViewContext, rank: number): string | null {
  const memory = last(ctx, `rank/${rank}/gpu_memory`);
  const total = last(ctx, `rank/${rank}/gpu_memory_total`);
  const use = last(ctx, `rank/${rank}/gpu_utilization`);
  if (memory === undefined && use === undefined) return null;
  const parts = [];
  if (memory !== undefined)
    parts.push(total ? `${bytes(memory)} / ${bytes(total)}` : bytes(memory));
  if (use !== undefined) parts.push(withUnit(use, "%"));
  return parts.join(" · ");
}

function stateText(state: number, silent: number): string {
  const text = STATES[state] ?? "–";
  return state === SILENT ? `${text} ${Math.round(silent)} s` : text;
}

function update(row: Row, ctx: ViewContext, rank: number, pace: ReturnType<typeof paceOf>): void {
  const value = (name: string) => last(ctx, `rank/${rank}/${name}`);
  const reasons = (ctx.spec.options.reasons ?? {}) as Record<string, string>;
  const state = value("state") ?? UNHEARD;
  const say = (name: Name, text: string | null, key: string) => {
    setText(row.cells[name], text ?? "–");
    const why = reasons[`rank/${rank}/${key}`] ?? "not measured yet";
    setAttr(row.cells[name], "title", text === null ? why : null);
  };
  const shown = (name: string, as: (v: number) => string) => {
    const v = value(name);
    return v === undefined ? null : as(v);
  };
  say("step", shown("step", grouped), "step");
  say("loss", shown("loss", short), "loss");
  say("rate", shown("samples_per_second", short), "samples_per_second");
  say("memory", shown("process_memory", bytes), "process_memory");
  say("gpu", gpuText(ctx, rank), "gpu_memory");
  setText(row.cells.state, stateText(state, value("silent") ?? 0));
  setAttr(row.el, "data-state", (STATES[state] ?? "").replace(" ", "-"));
  const time = value(pace.name);
  setText(row.time, time === undefined ? "–" : spell(time));
  const part = time === undefined || pace.slowest <= 0 ? 0 : time / pace.slowest;
  setAttr(row.fill, "style", `transform:scaleX(${clamp(part, 0, 1).toFixed(3)})`);
  setAttr(row.fill, "data-hot", state === LAGS ? "" : null);
  const whole = shown("step_time", spell);
  const about =
    pace.name === "work_time" ? "own work, without waiting for the others" : "whole step";
  setAttr(row.cells.pace, "title", whole ? `${about}; a whole step takes ${whole}` : about);
}

interface Verdict {
  tone: "bad" | "warn" | "";
  text: string;
}

function verdict(ctx: ViewContext, all: readonly number[], pace: string): Verdict {
  const reasons = (ctx.spec.options.reasons ?? {}) as Record<string, string>;
  if (reasons.ranks) return { tone: "bad", text: reasons.ranks };
  const silent = all.filter((rank) => last(ctx, `rank/${rank}/state`) === SILENT);
  if (silent.length > 0) {
    const said = silent.slice(0, 3).map((rank) => {
      const seconds = Math.round(last(ctx, `rank/${rank}/silent`) ?? 0);
      return `rank ${rank} has said nothing for ${seconds} s, last at step ${grouped(last(ctx, `rank/${rank}/step`) ?? 0)}`;
    });
    const more = silent.length > 3 ? `; ${silent.length - 3} more` : "";
    return { tone: "bad", text: said.join("; ") + more };
  }
  const slowest = last(ctx, "ranks/slowest");
  const [own, others] = [last(ctx, "ranks/slowest_time"), last(ctx, "ranks/median_time")];
  const slowdown = last(ctx, "ranks/slowdown");
  if (slowest === undefined || own === undefined || others === undefined || slowdown === undefined)
    return { tone: "", text: "the ranks are compared when each has made a few steps" };
  const over = `over the last ${Math.max(1, Math.round(last(ctx, "ranks/window") ?? 0))} s`;
  const what = pace === "work_time" ? "own work" : "time";
  const figures = `${spell(own)} ${what} a step, ${slowdown.toFixed(2)} × the median of the others (${spell(others)}), ${over}`;
  if ((last(ctx, "ranks/straggler") ?? -1) >= 0)
    return { tone: "warn", text: `rank ${slowest} is the straggler: ${figures}` };
  return { tone: "", text: `no straggler; slowest is rank ${slowest}: ${figures}` };
}

const view: View = {
  name: "ranks",
  mount(el, ctx) {
    const line = h("div", { class: "nbm-verdict", "data-readout": "straggler", role: "status" });
    const spread = h("div", { class: "nbm-note", "data-readout": "loss-spread" });
    const heads = COLUMNS.map(([name, text]) => h("th", { scope: "col", "data-cell": name }, text));
    const body = h("tbody");
    const table = h(
      "table",
      { class: "nbm-log nbm-ranks" },
      h("thead", {}, h("tr", {}, ...heads)),
      body,
    );
    el.append(line, h("div", { class: "nbm-scroll", tabindex: 0 }, table), spread);
    const rows = new Map<number, Row>();
    let generation = -1;
    const painted = ctx.loop.add(
      el,
      () => () => {
        const { store } = ctx.live;
        const all = ranks(ctx);
        if (store.generation !== generation) {
          body.replaceChildren();
          rows.clear();
          generation = store.generation;
        }
        const pace = paceOf(ctx, all);
        for (const rank of all) {
          let row = rows.get(rank);
          if (!row) {
            row = build(rank);
            rows.set(rank, row);
            const after = all.find((other) => other > rank && rows.has(other));
            body.insertBefore(row.el, after === undefined ? null : rows.get(after)!.el);
          }
          update(row, ctx, rank, pace);
        }
        setAttr(table, "data-gpu", all.some((rank) => gpuText(ctx, rank) !== null) ? "" : null);
        const found = verdict(ctx, all, pace.name);
        setText(line, all.length > 0 ? found.text : "waiting for the first reports, once a second");
        setAttr(line, "data-tone", found.tone || null);
        setText(spread, notes(ctx, all));
      },
      ctx.signal,
    );
    ctx.live.store.onChange(painted.dirty, ctx.signal);
  },
};

/** How far the losses lie apart, and why a column is missing. */
function notes(ctx: ViewContext, all: readonly number[]): string {
  const out: string[] = [];
  const spread = last(ctx, "ranks/loss_spread");
  if (spread !== undefined) out.push(`losses lie ${short(spread)} apart (highest less lowest)`);
  const reasons = (ctx.spec.options.reasons ?? {}) as Record<string, string>;
  const first = all[0] ?? 0;
  for (const [name, label] of [
    ["gpu_memory", "GPU"],
    ["work_time", "own work"],
  ]) {
    const why = reasons[`rank/${first}/${name}`];
    if (why && last(ctx, `rank/${first}/${name}`) === undefined) out.push(`${label}: ${why}`);
  }
  const gone = all.filter((rank) => last(ctx, `rank/${rank}/state`) === ENDED).length;
  if (gone > 0 && gone < all.length) out.push(`${gone} of ${all.length} ranks have ended`);
  return out.join(" · ");
}

export default view;
