/** The cards below the stage: what they say at a moment, and that they can be pointed at. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FrameLoop } from "../../src/frame";
import type { Shot } from "../../src/parameters/film";
import { pulsesAt, reachOf, strength } from "../../src/parameters/flow";
import { Insights } from "../../src/parameters/insights";
import { type Frame, frameOf } from "../../src/parameters/reel";
import { FakeLive } from "../live";
import { PALETTE } from "../views/mounted";
import { fakeCanvas, runFrames } from "../views/page";
import { change, meta } from "./samples";

beforeEach(fakeCanvas);
afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

const kind = (id: number) => (id % 3 === 1 ? "attention" : id % 3 === 2 ? "mlp" : "norm");
const M = meta(3);

/** A snapshot whose gradient has the RMS that `grad` says of each matrix. */
function frame(step: number, grad: (row: number) => number, reason = "cadence"): Frame {
  const stats = new Float32Array(M.matrices.length * 10).fill(Number.NaN);
  for (const [row, { shape }] of M.matrices.entries()) {
    stats[row * 10 + 6] = grad(row) * Math.sqrt(shape.reduce((a, b) => a * b, 1));
  }
  const parts = new Map([
    ["stats", { stored: stats, shape: [M.matrices.length, 10], scale: 1, offset: 0, error: 0 }],
  ]);
  const head = { step, base: null, parts, extra: {}, bytes: 0 };
  return frameOf(head, { reason, index: step === 0 ? 0 : 5 });
}

const still = (a: Frame, b = a, t = 0): Shot => ({ a, b, t });

function open() {
  const live = new FakeLive();
  const end = new AbortController();
  const chosen: string[] = [];
  const changed = vi.fn();
  const insights = new Insights({
    store: live.store,
    loop: new FrameLoop(end.signal),
    palette: () => PALETTE,
    choose: ({ name }) => chosen.push(name),
    changed,
    signal: end.signal,
  });
  document.body.append(insights.el);
  insights.setMeta(M);
  const show = async (shot: Shot) => {
    insights.paint(shot, false, PALETTE);
    await runFrames(2);
  };
  /** Show a moment, and again once its samples of units are unpacked. */
  const shown = async (shot: Shot) => {
    changed.mockClear();
    await show(shot);
    await vi.waitFor(() => expect(changed).toHaveBeenCalled(), { timeout: 8000 });
    await show(shot);
  };
  const text = (id: string) => insights.el.querySelector(`[data-insight=${id}]`)?.textContent ?? "";
  const canvas = (id: string) => insights.el.querySelector(`[data-board=${id}] canvas`)!;
  const key = (id: string, name: string) =>
    canvas(id).dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  return { live, insights, show, shown, text, canvas, key, chosen, end };
}

describe("gradient flow", () => {
  test("says how strong it is, and names what is far off", async () => {
    const v = open();
    await v.show(still(frame(10, () => 1e-3)));
    expect(v.text("flow")).toContain("RMS of ∇, step 10");
    expect(v.text("flow")).toContain("median 0.00100 · all within");
    await v.show(still(frame(11, (row) => (row === 0 ? 1e-9 : 1e-3))));
    expect(v.text("flow")).toContain("vanishing: embeddings (1.0E-9)");
    await v.show(still(frame(12, (row) => (row < 7 ? 1e-3 : 10))));
    expect(v.text("flow")).toContain("exploding: layer 2 (10.0)");
    v.end.abort();
  });

  test("where it is gone, the snapshot beside it tells; else it says so", async () => {
    const v = open();
    const gone = frame(20, () => Number.NaN, "evaluation");
    await v.show(
      still(
        gone,
        frame(21, () => 1e-3),
        0.2,
      ),
    );
    expect(v.text("flow")).toContain("RMS of ∇, step 21");
    await v.show(still(gone));
    expect(v.text("flow")).toContain(
      "– no gradient was there at the snapshot of step 20 (evaluation)",
    );
    v.end.abort();
  });

  test("its scale has whole decades and only grows", () => {
    expect(reachOf([2e-3, 5e-2], null)).toEqual([-3, -1]);
    expect(reachOf([2e-3], null)).toEqual([-4, -2]);
    expect(reachOf([1], [-3, -1])).toEqual([-3, 0]);
    expect(reachOf([Number.NaN, 0], null)).toBeNull();
    expect([1e-3, 1e-2, 1, 0, Number.NaN].map((v) => strength(v, [-3, -1]))).toEqual([
      0, 0.5, 1, 0, 0,
    ]);
  });

  test("pulses go from the last station to the first, slowly where little arrives", () => {
    const strong = [0, 1, 1];
    const way = Array.from({ length: 600 }, (_, i) => pulsesAt(strong, i * 10)[0]!);
    const fall = way.findIndex((p, i) => i > 0 && p > way[i - 1]!);
    const once = way.slice(0, fall);
    expect(once[0]).toBe(3);
    expect(once.at(-1)).toBeLessThan(0.02);
    const spent = (station: number) => once.filter((p) => Math.ceil(p) - 1 === station).length;
    expect(spent(0)).toBeGreaterThan(4 * spent(1));
    expect(Math.abs(spent(1) - spent(2))).toBeLessThan(3);
    expect(pulsesAt([], 5)).toEqual([]);
  });
});

describe("samples of units", () => {
  const healthy = (id: number) => [id / 100, 64, 0, 0, 1.5, 3];

  test("what has changed most is named, and can be gone to", async () => {
    const v = open();
    change(v.live, 10, healthy, [1, 4, 7, 2], M);
    await v.shown(still(frame(10, () => 1)));
    const rows = [...v.insights.el.querySelectorAll("[data-insight=since] li:not([hidden])")];
    expect(rows.map((r) => r.textContent)).toEqual(
      M.matrices
        .slice(-5)
        .reverse()
        .map(({ label, id }) => `${label}${(id / 100).toPrecision(3)}`),
    );
    const top = () => v.insights.el.querySelector("[data-insight=since] .nbm-scale span");
    expect(top()?.textContent).toBe("0.0900");
    change(v.live, 20, (id) => [id / 200, 64, 0, 0, 1.5, 3], [], M);
    await v.shown(still(frame(20, () => 1)));
    expect(v.text("since")).toContain("0.0450");
    expect(top()?.textContent).toBe("0.0900");
    rows[0]?.querySelector("button")?.click();
    expect(v.chosen).toEqual([M.matrices.at(-1)?.name]);
    expect(v.text("units")).toContain(`none found among ${64 * 10} sampled units of 10 matrices`);
    v.end.abort();
  });

  test("cells tell of themselves by keys, too", async () => {
    const v = open();
    change(v.live, 10, healthy, [1, 4, 7, 2], M);
    await v.shown(still(frame(10, () => 1)));
    v.key("since", "ArrowDown");
    await runFrames(2);
    expect(v.text("since")).toContain("embeddings, embedding: 0");
    v.key("since", "ArrowDown");
    v.key("since", "ArrowRight");
    await runFrames(2);
    expect(v.text("since")).toContain(`layer 0, ${kind(1)}: 0.01`);
    expect(v.canvas("since").getAttribute("aria-label")).toContain("layer 0");
    v.key("similarity", "ArrowRight");
    v.key("similarity", "ArrowRight");
    await runFrames(2);
    // In the order of uses: the three of attention, then the one of the MLP.
    expect(v.text("similarity")).toContain(
      `${M.matrices[1]?.label} ↔ ${M.matrices[4]?.label}: 0.20`,
    );
    expect(v.text("similarity")).toContain(`not moved: ${M.matrices[9]?.label}`);
    for (const id of ["similarity", "since"]) v.key(id, "Enter");
    expect(v.chosen).toEqual([M.matrices[1]?.name, M.matrices[1]?.name]);
    v.key("flow", "ArrowRight");
    v.key("flow", "ArrowRight");
    await runFrames(2);
    expect(v.text("flow")).toContain("layer 0: 1.00, 1.00 × the median");
    v.key("flow", "Enter");
    expect(v.chosen).toHaveLength(3);
    v.key("similarity", "Escape");
    await runFrames(2);
    expect(v.text("similarity")).toContain("CKA of 4 matrices · mean 0.6");
    v.end.abort();
  });

  test("dead and exploding units are counted, with the worst matrices first", async () => {
    const v = open();
    const ill = (id: number) => [
      0.1,
      64,
      id === 2 ? 3 : 0,
      id === 5 ? 1 : 0,
      id === 5 ? 37 : 1,
      1204,
    ];
    change(v.live, 10, ill, [], M);
    await v.shown(still(frame(10, () => 1)));
    expect(v.text("units")).toContain("3dead1exploding");
    const rows = [
      ...v.insights.el.querySelectorAll("[data-insight=units] li:not([hidden]) button"),
    ];
    expect(rows.map((r) => r.textContent)).toEqual([
      `${M.matrices[5]?.label}1 expl.`,
      `${M.matrices[2]?.label}3 dead`,
    ]);
    expect(rows[0]?.getAttribute("title")).toContain("unit 1,204 is 37.0 × the median unit");
    expect(v.text("similarity")).toContain("– nothing to compare");
    v.end.abort();
  });

  test("what is not known is said so", async () => {
    const v = open();
    await v.show(still(frame(0, () => 1)));
    expect(v.text("since")).toContain("– this is the start");
    await v.show(still(frame(5, () => 1)));
    for (const id of ["since", "similarity", "units"])
      expect(v.text(id)).toContain("– there are no");
    change(v.live, 8, healthy, [], M);
    await v.show(still(frame(6, () => 1)));
    expect(v.text("units")).toContain("– not known at this step");
    change(v.live, 30, healthy, [], M, 30);
    await v.shown(still(frame(30, () => 1)));
    expect(v.text("units")).toContain("– this is the start");
    v.end.abort();
  });
});
