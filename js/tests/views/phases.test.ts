/** Phases under the loss, loss spikes on it, judgements under a chart, names of lines, places. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readOptions } from "../../dev/options";
import { Replay } from "../../dev/replay";
import { choicesOf, layerRows } from "../../src/chart/layers";
import { makeBand, phasesOf, phaseText } from "../../src/chart/phases";
import { spikeNear } from "../../src/chart/spikes";
import { factsOf } from "../../src/chart/state";
import { mountDashboard } from "../../src/shell/mount";
import { panelOf, zoomOn } from "../../src/shell/places";
import line, { namesOf } from "../../src/views/line";
import { claimed } from "../../src/views/metrics";
import type { RunEvent } from "../../src/wire.gen";
import { FakeLive } from "../live";
import { mounted, panel } from "./mounted";
import { countListeners, fakeCanvas, runFrames } from "./page";

beforeEach(() => {
  fakeCanvas();
});

afterEach(() => {
  document.body.replaceChildren();
});

const phase = (step: number, name: string, from: number, message = ""): RunEvent => ({
  kind: "phase",
  step,
  time: step,
  data: { name, from, message, confidence: 0.9 },
});

describe("phases", () => {
  test("each ends where the next begins; the last goes on", () => {
    const all = phasesOf([phase(0, "initialization", 0), phase(30, "rapid learning", 20)]);
    expect(all.map((p) => [p.name, p.from, p.to])).toEqual([
      ["initialization", 0, 20],
      ["rapid learning", 20, null],
    ]);
  });

  test("a later word takes back what it says began earlier", () => {
    const all = phasesOf([
      phase(0, "initialization", 0),
      phase(60, "plateau", 50),
      phase(80, "rapid learning", 40),
    ]);
    expect(all.map((p) => [p.name, p.from, p.to])).toEqual([
      ["initialization", 0, 40],
      ["rapid learning", 40, null],
    ]);
  });

  test("one told again is one, with the newest explanation", () => {
    const all = phasesOf([phase(9, "plateau", 5, "old"), phase(20, "plateau", 8, "new")]);
    expect(all).toMatchObject([{ from: 5, to: null, message: "new" }]);
    expect(phaseText(all[0]!)).toBe("PLATEAU · since step 5 · 90 % sure\nnew");
  });

  test("the band explains under pointer and focus, zooms when pressed, and ends", () => {
    const zoom = vi.fn();
    const end = new AbortController();
    const band = makeBand(zoom, end.signal);
    document.body.append(band.el);
    const phases = phasesOf([phase(0, "initialization", 0), phase(30, "plateau", 20, "no change")]);
    band.show(phases, null);
    expect(band.el.hidden).toBe(true);
    band.show(phases, { view: [0, 100], left: 50, width: 500 });
    const [first, second] = [...band.el.querySelectorAll<HTMLElement>("[data-phase]")];
    expect(band.el.hidden).toBe(false);
    expect(second!.getAttribute("style")).toBe("left:20.00%;width:80.00%");
    // A word that has no room is left out; the label still says it.
    expect([first!.textContent, second!.textContent]).toEqual(["", "plateau"]);
    expect(first!.getAttribute("aria-label")).toContain("INITIALIZATION · steps 0–20");
    const tip = band.el.querySelector<HTMLElement>("[data-tip]")!;
    second!.focus();
    expect([tip.hidden, tip.textContent]).toEqual([false, phaseText(phases[1]!)]);
    second!.blur();
    expect(tip.hidden).toBe(true);
    first!.dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(tip.textContent).toContain("INITIALIZATION");
    second!.click();
    expect(zoom.mock.calls).toEqual([[[20, 100]]]);
    end.abort();
    second!.click();
    expect(zoom).toHaveBeenCalledTimes(1);
  });
});

describe("a line chart", () => {
  const spec = (id: number, key: string, unit = "") => ({ id, key, label: key, unit });

  test("of the loss shows the streaming mean that the kernel measures, unless turned off", async () => {
    const options = { color: "loss", smooth: true };
    const { live, ui, shown, close } = mounted(line, { id: "loss", keys: ["train/loss"], options });
    live.rows(spec(0, "train/loss"), [3, 2, 1]);
    live.rows(spec(1, "train/loss_ema"), [3, 2.5, 2]);
    const el = await shown();
    const legend = () => el.querySelector(".nbm-legend")?.textContent;
    expect(legend()).toBe("loss 1streaming loss 2");
    ui.toggle("raw", "loss");
    await shown();
    expect(legend()).toBe("1");
    close();
  });

  test("of the loss has the phases under it; others have none", async () => {
    const one = mounted(line, { id: "loss", keys: ["train/loss"] });
    one.live.rows(spec(0, "train/loss"), [3, 2, 1]);
    expect((await one.shown()).querySelector<HTMLElement>(".nbm-phases")?.hidden).toBe(true);
    one.live.event("phase", 2, { name: "plateau", from: 0, message: "", confidence: null });
    await one.shown();
    expect(one.el.querySelector<HTMLElement>(".nbm-phases")?.hidden).toBe(false);
    one.close();
    const other = mounted(line, { id: "lr", keys: ["train/learning_rate"] });
    expect((await other.shown()).querySelector(".nbm-phases")).toBeNull();
    other.close();
  });

  test("tells lines of one name apart by what stands before it", () => {
    const live = new FakeLive();
    const keys = ["fixed_eval/exact_match", "pattern/math/exact_match", "pattern/code/exact_match"];
    for (const [id, key] of keys.entries()) live.rows(spec(id, key), [1]);
    expect(namesOf(keys.map((key) => live.store.series(key)!))).toEqual([
      "exact match",
      "math",
      "code",
    ]);
    const dead = ["dead/0/share", "dead/3/share"];
    for (const [id, key] of dead.entries()) live.rows(spec(id + 9, key), [1]);
    expect(namesOf(dead.map((key) => live.store.series(key)!))).toEqual(["layer 0", "layer 3"]);
  });

  test("of a fixed set says what was judged, each chart its part", () => {
    const live = new FakeLive();
    const keys = ["fixed_eval/exact_match", "pattern/*/exact_match"];
    expect(factsOf(live.store, keys)).toEqual([]);
    live.put("fixed_eval/state", {
      n: 200,
      exact_match: 0.815,
      low: 0.76,
      high: 0.86,
      cross_entropy: 0.47,
      best: { step: 15200, exact_match: 0.82, checkpoint: "out/checkpoint-15200" },
      trend: {
        exact_match: { state: "plateau", since: 14000, p: 0.41, test: "Mann–Kendall" },
        cross_entropy: { state: "too early", since: null, p: null, test: "" },
      },
      drift: { rise: 0.27, best_ece: 0.1 },
      seconds: 4.21,
      share_of_training: 0.011,
    });
    expect(factsOf(live.store, keys).map((f) => f.text)).toEqual([
      "EM 81.5 % (76–86), n 200",
      "plateau since step 14,000",
      "best 82 % at 15,200 → checkpoint-15200",
    ]);
    expect(factsOf(live.store, ["fixed_eval/cross_entropy"]).map((f) => f.text)).toEqual([
      "CE 0.470",
      "too early for a trend",
      "ECE 27 % over its best",
      "costs 4.21 s, 1.1 % of training",
    ]);
    expect(factsOf(live.store, ["train/loss"])).toEqual([]);
    // Where the best is 0, there is no share of it.
    live.put("fixed_eval/state", { drift: { rise: null, best_ece: 0 } });
    expect(factsOf(live.store, ["fixed_eval/cross_entropy"]).map((f) => f.text)).toEqual([
      "ECE over its best",
    ]);
  });

  test("what it costs is told there, and is no metric that is left over", () => {
    const live = new FakeLive();
    const rest = panel("metrics", { keys: ["*"] });
    const options = { cost: "fixed_eval/seconds", empty: "waiting for it" };
    live.set("panels", [
      rest,
      panel("fixed_loss", { keys: ["fixed_eval/cross_entropy"], options }),
    ]);
    expect(claimed({ spec: rest, live })).toContain("fixed_eval/seconds");
  });

  test("finds the kept spike under a press, the nearest of several", () => {
    const live = new FakeLive();
    live.put("insight/spikes", {
      spikes: [
        { step: 10, loss: 9 },
        { step: 14, loss: 8 },
      ],
    });
    expect([11, 13, 30].map((x) => spikeNear(live.store, x, 5))).toEqual([10, 14, null]);
  });
});

describe("layers", () => {
  test("groups of parameters have a row each, in the order of the model, and can be chosen by part", () => {
    const live = new FakeLive();
    const names = ["embedding", "0.norm", "0.mlp", "10.mlp", "2.mlp", "head"];
    names.forEach((n, id) => {
      live.rows({ id, key: `grad/${n}/norm`, label: "", unit: "" }, [id]);
    });
    const all = live.store.match("grad/*/norm");
    expect(choicesOf(all)).toEqual({ groups: [""], modules: ["mlp", "norm"], metrics: ["norm"] });
    const rows = (module: string) =>
      layerRows(all, { group: "", module, metric: "norm" }).map((r) => r.spec.key);
    expect(rows("")).toEqual(names);
    expect(rows("mlp")).toEqual(["0.mlp", "10.mlp", "2.mlp"]);
    expect(layerRows(all, { group: "", module: "", metric: "norm" })[3]?.last()?.value).toBe(3);
  });
});

describe("places", () => {
  const specs = [
    panel("readouts", { view: "readouts", keys: ["train/loss"], tab: "overview" }),
    panel("loss", { view: "line", keys: ["train/loss"], tab: "overview" }),
    panel("gpu", { keys: ["gpu/*/memory_used"] }),
    panel("gone", { keys: ["x/y"], absent: "why" }),
  ];

  test.each([
    ["as named", { panel: "gpu" }, "gpu"],
    ["the chart of the series", { panel: null, key: "gpu/3/memory_used" }, "gpu"],
    ["a chart, not the readout", { key: "train/loss" }, "loss"],
    ["the loss where nothing fits", { panel: "gone", key: "x/y" }, "loss"],
  ])("%s", (_, place, id) => {
    expect(panelOf(specs, place)?.id).toBe(id);
  });

  test("a window has air around it, and never starts before the run", () => {
    expect(zoomOn([100, 200])).toEqual([75, 225]);
    expect(zoomOn([5, 5])).toEqual([0, 15]);
  });
});

describe("the dashboard with a Quality tab", () => {
  function open(query: string) {
    const end = new AbortController();
    const el = document.createElement("div");
    document.body.append(el);
    const replay = new Replay(readOptions(query));
    mountDashboard(el, replay, end.signal);
    const get = (selector: string) => el.querySelector<HTMLElement>(selector)!;
    return { el, replay, end, get };
  }
  const selected = (el: HTMLElement) =>
    el.querySelector<HTMLElement>("[role=tab][aria-selected=true]")?.dataset.tab;

  test("an alert leads to its chart: the tab, the panel, the steps", async () => {
    const { el, end, get } = open("?quality=full&step=400&total=500");
    await runFrames();
    get("[data-control=alerts]").click();
    expect([selected(el), document.activeElement]).toEqual(["quality", get("[data-panel=alerts]")]);
    get("[data-control=all-alerts]").click();
    get("[data-panel=loss] [data-control=collapse]").click();
    await runFrames();
    get("[data-alert=loss_spike] .nbm-alert-main").click();
    await runFrames();
    expect([selected(el), document.activeElement]).toEqual(["overview", get("[data-panel=loss]")]);
    expect(get("[data-panel=loss] .nbm-body").hidden).toBe(false);
    expect(get("[data-control=range]").dataset.range).toBe("zoom");
    end.abort();
  });

  test("a clause with a step points at it in the whole run", async () => {
    const { el, end, get } = open("?quality=full&step=400&total=500");
    await runFrames();
    get("[data-clause=fixed_match]").click();
    await runFrames();
    expect(selected(el)).toBe("quality");
    expect(get("[data-control=range]").dataset.range).toBe("all");
    expect(get("[data-panel=fixed_match] .nbm-legend").textContent).toContain("step 350");
    end.abort();
  });

  test("what was put away stays away when the model is rendered again", async () => {
    const first = open("?quality=full&step=400&total=500");
    await runFrames();
    const count = first.get("[data-control=alerts]").textContent;
    first.get("[data-alert=calibration_drift] [data-control=dismiss]").click();
    first.end.abort();
    const again = document.createElement("div");
    document.body.append(again);
    const end = new AbortController();
    mountDashboard(again, first.replay, end.signal);
    await runFrames();
    expect(again.querySelector("[data-alert=calibration_drift]")).toBeNull();
    expect([count, again.querySelector("[data-control=alerts]")?.textContent]).toEqual([
      "▲ 2",
      "▲ 1",
    ]);
    end.abort();
  });

  test.each(["full", "empty"])("%s, is left as it was found", async (quality) => {
    const listeners = countListeners();
    const { el, replay, end } = open(`?quality=${quality}&step=200&total=500`);
    await runFrames();
    for (const one of el.querySelectorAll<HTMLElement>(
      "[data-clause], [data-alert] button, [data-cell], [data-spike], [data-phase], [data-control=lines]",
    ))
      one.click();
    replay.advance(300);
    await runFrames();
    expect(listeners.open()).toBeGreaterThan(0);
    end.abort();
    expect(listeners.open()).toBe(0);
    replay.advance(310);
    await runFrames();
    expect(el.children).toHaveLength(0);
    listeners.restore();
  });
});
