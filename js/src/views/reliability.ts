/** Reliability diagram: how often the model is right where it says how sure it is. */

import { pickable } from "../chart/pick";
import { dotted, grouped, withUnit } from "../format";
import { faded, type Palette } from "../paint";
import type { Tensor } from "../tensor";
import { h, onTensor, picture, setAttr, setText, type View } from "../view";

const KEY = "fixed_eval/reliability";
const LEFT = 38;
const COUNTS = 30;
const FOOT = 30;

interface Bin {
  count: number;
  sure: number;
  right: number;
}

/** Rows of the tensor: count, mean confidence, accuracy. */
export function binsOf({ data, shape }: Tensor): Bin[] {
  const n = shape[1] ?? 0;
  return Array.from({ length: n }, (_, i) => ({
    count: data[i] ?? 0,
    sure: data[n + i] ?? Number.NaN,
    right: data[2 * n + i] ?? Number.NaN,
  }));
}

/** In which direction the model errs, weighted by tokens; "" where there is nothing to say. */
export function leaning(bins: readonly Bin[]): string {
  const used = bins.filter((b) => b.count > 0);
  const total = used.reduce((sum, b) => sum + b.count, 0);
  if (total === 0) return "";
  const gap = used.reduce((sum, b) => sum + (b.sure - b.right) * b.count, 0) / total;
  if (Math.abs(gap) < 0.005) return "neither too sure nor too unsure on the whole";
  return `too ${gap > 0 ? "sure" : "unsure"} by ${withUnit(Math.abs(gap), "ratio")} on the whole`;
}

const percent = (part: number) => `${Math.round(part * 100)} %`;

function binText(bins: readonly Bin[], at: number): string {
  const bin = bins[at]!;
  const range = `${at / bins.length}–${(at + 1) / bins.length}`.replace(/0\.(\d)\d+/g, "0.$1");
  if (bin.count === 0) return `${range}: no tokens`;
  return `${range}: says ${percent(bin.sure)}, right ${percent(bin.right)}, ${grouped(bin.count)} tokens`;
}

interface Area {
  left: number;
  top: number;
  width: number;
  height: number;
}

function draw(
  ctx: CanvasRenderingContext2D,
  palette: Palette,
  area: Area,
  bins: readonly Bin[],
  picked: number | null,
): void {
  const { left, top, width, height } = area;
  const [x, y] = [(p: number) => left + p * width, (p: number) => top + (1 - p) * height];
  const bottom = top + height;
  ctx.font = palette.font;
  ctx.lineWidth = 1;
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const [px, py] = [Math.round(x(part)) + 0.5, Math.round(y(part)) + 0.5];
    ctx.strokeStyle = palette.grid;
    ctx.beginPath();
    ctx.moveTo(left, py);
    ctx.lineTo(left + width, py);
    ctx.moveTo(px, top);
    ctx.lineTo(px, bottom);
    ctx.stroke();
    ctx.fillStyle = palette.label;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    ctx.fillText(percent(part), left - 5, py);
  }
  const wide = width / Math.max(1, bins.length);
  const most = Math.max(1, ...bins.map((b) => b.count));
  const floor = bottom + 4 + COUNTS;
  bins.forEach((bin, i) => {
    const from = Math.round(left + i * wide) + 1;
    const w = Math.max(1, Math.round(left + (i + 1) * wide) - from - 1);
    const high = Math.max(bin.count > 0 ? 1 : 0, (bin.count / most) * (COUNTS - 4));
    ctx.fillStyle = i === picked ? palette.readout : faded(palette.label, 0.75);
    ctx.fillRect(from, floor - high, w, high);
    if (bin.count === 0) return;
    const [ya, yc] = [y(bin.right), y(bin.sure)];
    ctx.fillStyle = faded(palette.gauge, i === picked ? 0.7 : 0.42);
    ctx.fillRect(from, ya, w, bottom - ya);
    ctx.fillStyle = palette.gauge;
    ctx.fillRect(from, ya - 1, w, 2);
    // The gap is what ECE sums: red where the model is surer than it is right.
    const gap = yc < ya ? palette.hot : palette.warn;
    ctx.fillStyle = faded(gap, i === picked ? 0.6 : 0.34);
    ctx.fillRect(from, Math.min(ya, yc), w, Math.abs(ya - yc));
    ctx.fillStyle = gap;
    ctx.fillRect(from, yc - 1, w, 2);
  });
  ctx.strokeStyle = palette.readout;
  ctx.setLineDash([4, 3]);
  ctx.beginPath();
  ctx.moveTo(x(0), y(0));
  ctx.lineTo(x(1), y(1));
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.strokeStyle = palette.border;
  ctx.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
  ctx.fillStyle = palette.label;
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  ctx.fillText("n", left - 5, bottom + 4 + COUNTS / 2);
  ctx.textBaseline = "alphabetic";
  const foot = floor + 14;
  ctx.textAlign = "left";
  ctx.fillText("0", left, foot);
  ctx.textAlign = "right";
  ctx.fillText("100 %", left + width, foot);
  ctx.textAlign = "center";
  ctx.fillText("says it is this sure", left + width / 2, foot);
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  ctx.fillText("is right", left + 6, top + 6);
}

const reliability: View = {
  name: "reliability",
  mount(el, ctx) {
    const { live, signal } = ctx;
    const legend = h("div", { class: "nbm-legend" });
    const host = h("div", { class: "nbm-plot nbm-pick" });
    const text = String(
      ctx.spec.options.empty ??
        "waiting for a fixed evaluation: TrainingMonitor(trainer, fixed_eval=…) has one",
    );
    const empty = h("div", { class: "nbm-empty" }, text);
    const chart = h("div", { class: "nbm-chart nbm-tall" }, host, empty);
    const note = h("div", { class: "nbm-note", "data-readout": "reliability" });
    ctx.tools.before(legend);
    el.append(chart, note);
    const pic = picture(host, () => painted.dirty(), signal);
    let area: Area = { left: LEFT, top: 8, width: 1, height: 1 };
    let bins: Bin[] = [];
    const under = (px: number) => {
      const at = Math.floor(((px - area.left) / area.width) * bins.length);
      return at >= 0 && at < bins.length ? at : null;
    };
    const pick = pickable(host, "reliability by confidence", under, () => painted.dirty(), signal);
    const painted = ctx.loop.add(
      el,
      () => {
        const tensor = live.store.tensor(KEY);
        bins = tensor ? binsOf(tensor) : [];
        const none = !bins.some((b) => b.count > 0);
        empty.hidden = !none;
        host.hidden = none;
        const context = none ? null : pic.begin();
        if (context) {
          area = {
            ...area,
            width: pic.width - LEFT - 10,
            height: pic.height - 8 - COUNTS - FOOT + 6,
          };
          draw(context, ctx.palette(), area, bins, pick.at);
        }
        return () => {
          const { ece, tokens, step } = (tensor?.meta ?? {}) as Record<
            string,
            number | null | undefined
          >;
          const known = typeof ece !== "number" ? "" : `ECE ${ece.toFixed(3)}`;
          const all = typeof tokens !== "number" ? "" : `${grouped(tokens)} tokens`;
          const told = none
            ? ""
            : dotted(known, all, typeof step === "number" && `step ${grouped(step)}`);
          setText(legend, told);
          const said = none ? "" : pick.at === null ? leaning(bins) : binText(bins, pick.at);
          setText(note, said || " ");
          pick.tell(bins.length, said);
          setAttr(pic.canvas, "aria-label", `${ctx.spec.title}: ${dotted(told, leaning(bins))}`);
        };
      },
      signal,
    );
    onTensor(live, KEY, painted.dirty, signal);
    ctx.ui.on("look", painted.dirty, signal);
  },
};

export default reliability;
