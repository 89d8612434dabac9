/** The views of the Quality tab: what they say, when there is nothing, under keys and pointer. */

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import adapters from "../../src/views/adapters";
import patterns, { tableOf } from "../../src/views/patterns";
import reliability, { leaning } from "../../src/views/reliability";
import spikes from "../../src/views/spikes";
import verdict from "../../src/views/verdict";
import { mounted, panel } from "./mounted";
import { fakeCanvas } from "./page";

beforeEach(() => {
  fakeCanvas();
});

afterEach(() => {
  document.body.replaceChildren();
});

const all = { verdict, reliability, patterns, adapters, spikes };

describe.each(Object.entries(all))("%s", (_, view) => {
  test("says what would fill it, as its panel does if it does, and leaves nothing behind", async () => {
    const one = mounted(view);
    const empty = (await one.shown()).querySelector<HTMLElement>(".nbm-empty");
    expect([empty?.hidden, (empty?.textContent ?? "").length > 30]).toEqual([false, true]);
    one.leave();
    const other = mounted(view, { options: { empty: "nothing yet" } });
    expect((await other.shown()).querySelector(".nbm-empty")?.textContent).toBe("nothing yet");
    other.leave();
  });
});

describe("the verdict", () => {
  const clauses = [
    { text: "EM 81 %, plateau since step 14,000.", panel: "fixed_match", step: 14000 },
    { text: "The loss is fine.", panel: "no such panel", step: null },
  ];

  test("links each clause to its panel, and says what to do", async () => {
    const { live, ui, shown, leave } = mounted(verdict);
    live.set("panels", [panel("fixed_match", { title: "Match" })]);
    const meta = { text: "whole", action: "Stop.", clauses, step: 15000, final: true };
    live.put("quality/verdict", meta);
    const el = await shown();
    const links = [...el.querySelectorAll<HTMLElement>("button.nbm-clause")];
    expect(links.map((l) => [l.textContent, l.title])).toEqual([
      [clauses[0]!.text, "show Match, step 14,000"],
    ]);
    expect(el.querySelector(".nbm-said")?.textContent).toContain("The loss is fine.");
    expect(el.querySelector(".nbm-action")?.textContent).toBe("→ Stop.");
    expect(el.querySelector(".nbm-legend")?.textContent).toBe("final · step 15,000");
    links[0]!.click();
    expect(ui.get("place")).toEqual({ panel: "fixed_match", step: 14000 });
    leave();
  });

  test("follows the run, and is a plain text where there are no clauses", async () => {
    const { live, shown, leave } = mounted(verdict);
    live.put("quality/verdict", { text: "Go on. → Wait.", action: "Wait.", clauses: [], step: 9 });
    const el = await shown();
    expect(el.querySelector(".nbm-said")?.textContent).toBe("Go on. → Wait.");
    expect(el.querySelector<HTMLElement>(".nbm-action")?.hidden).toBe(true);
    live.put("quality/verdict", { text: "Stop.", action: "", clauses: [], step: 10 });
    await shown();
    expect(el.querySelector(".nbm-said")?.textContent).toBe("Stop.");
    leave();
  });
});

describe("the reliability diagram", () => {
  const bins = (count: number[], sure: number[], right: number[]) =>
    Float32Array.from([...count, ...sure, ...right]);
  const put = bins([0, 100], [Number.NaN, 0.9], [Number.NaN, 0.7]);

  test("says the error, and of each bin what arrow keys reach", async () => {
    const { live, shown, key, leave } = mounted(reliability);
    live.put("fixed_eval/reliability", { ece: 0.2, tokens: 100, step: 50 }, put, [3, 2]);
    const el = await shown();
    expect(el.querySelector(".nbm-legend")?.textContent).toBe("ECE 0.200 · 100 tokens · step 50");
    const note = () => el.querySelector("[data-readout=reliability]")?.textContent;
    expect(note()).toBe("too sure by 20 % on the whole");
    const slider = el.querySelector<HTMLElement>("[role=slider]")!;
    key(slider, "End");
    await shown();
    expect(note()).toBe("0.5–1: says 90 %, right 70 %, 100 tokens");
    expect(slider.getAttribute("aria-valuetext")).toBe(note());
    key(slider, "ArrowLeft");
    await shown();
    expect(note()).toBe("0–0.5: no tokens");
    key(slider, "Escape");
    await shown();
    expect(note()).toContain("on the whole");
    leave();
  });

  test("an evaluation without tokens is as none", async () => {
    const { live, shown, leave } = mounted(reliability);
    live.put("fixed_eval/reliability", { ece: null }, bins([0, 0], [0, 0], [0, 0]), [3, 2]);
    expect((await shown()).querySelector<HTMLElement>(".nbm-empty")?.hidden).toBe(false);
    leave();
  });

  test("errors in both directions weigh by their tokens", () => {
    const bin = (count: number, sure: number, right: number) => ({ count, sure, right });
    expect(leaning([bin(10, 0.3, 0.5), bin(10, 0.9, 0.7)])).toContain("neither");
    expect(leaning([bin(30, 0.3, 0.5), bin(10, 0.9, 0.7)])).toBe("too unsure by 10 % on the whole");
    expect(leaning([bin(0, 0.3, 0.5)])).toBe("");
  });
});

describe("patterns by length", () => {
  const cell = (seen: number, correct: number, low = 0.1, high = 0.9) => ({
    seen,
    correct,
    low,
    high,
  });
  const meta = {
    patterns: ["math", "code"],
    bins: ["0–100", "100–300"],
    cells: { "0,0": { low: 0.35, high: 0.85 } },
    rows: [cell(10, 6), cell(4, 4)],
    columns: [cell(14, 10), cell(0, 0)],
    total: cell(14, 10),
    failing: { "0,0": [{ prompt: "1+1=", expected: "2", got: "<b>3</b>" }] },
    labelled: "the field 'kind'",
  };
  const values = Int32Array.from([10, 6, 0, 0, 4, 4, 0, 0]);

  async function open() {
    const all = mounted(patterns);
    all.live.put("fixed_eval/patterns", meta, values, [2, 2, 2], 500);
    const el = await all.shown();
    const at = (id: string) => el.querySelector<HTMLElement>(`[data-cell="${id}"]`)!;
    return { ...all, el, at };
  }

  test("each cell has its share, count and interval; empty ones say so; totals stand apart", async () => {
    const { el, at, leave } = await open();
    expect(at("0,0").textContent).toBe("60 %n 10");
    expect(at("0,0").getAttribute("aria-label")).toBe(
      "math, 0–100 tokens: 6 of 10 right, 60 % (95 % interval 35–85 %)",
    );
    expect(at("0,0").querySelector(".nbm-whisker > i")?.getAttribute("style")).toBe(
      "left:35.0%;width:50.0%",
    );
    expect(at("0,1").textContent).toBe("no examples");
    expect(at("1,*").textContent).toBe("100 %n 4");
    expect(at("*,1").textContent).toBe("no examples");
    expect(at("*,*").textContent).toBe("71 %n 14");
    expect(at("*,*").parentElement?.hasAttribute("data-total")).toBe(true);
    expect(el.querySelector(".nbm-legend")?.textContent).toBe("EM 71 % · n 14 · step 500");
    leave();
  });

  test("a click opens the failures, as text; another closes them; empty cells open nothing", async () => {
    const { el, at, shown, key, leave } = await open();
    const failing = el.querySelector<HTMLElement>(".nbm-failing")!;
    at("0,1").click();
    await shown();
    expect(failing.hidden).toBe(true);
    at("0,0").click();
    await shown();
    expect(failing.hidden).toBe(false);
    expect(at("0,0").getAttribute("aria-expanded")).toBe("true");
    expect(failing.textContent).toContain("1 of 4 failures");
    expect([...failing.querySelectorAll("pre")].map((p) => p.textContent)).toEqual([
      "1+1=",
      "2",
      "<b>3</b>",
    ]);
    key(at("0,0"), "Escape");
    await shown();
    expect(failing.hidden).toBe(true);
    at("*,*").click();
    await shown();
    expect(failing.querySelectorAll("li")).toHaveLength(1);
    at("1,0").click();
    await shown();
    expect(failing.textContent).toContain("none failed");
    leave();
  });

  test("one cell is in the order of the tab key, arrow keys reach the others", async () => {
    const { el, at, key, leave } = await open();
    const stops = () =>
      [...el.querySelectorAll<HTMLElement>("td > [tabindex='0']")].map((e) => e.dataset.cell);
    expect(stops()).toEqual(["0,0"]);
    at("0,0").focus();
    for (const name of ["ArrowDown", "ArrowRight", "ArrowRight"]) key(document.activeElement, name);
    expect((document.activeElement as HTMLElement).dataset.cell).toBe("1,*");
    key(document.activeElement, "ArrowRight");
    expect(stops()).toEqual(["1,*"]);
    leave();
  });

  test("an update keeps the cell that is open and the keyboard; other patterns make a new table", async () => {
    const { live, el, at, shown, leave } = await open();
    at("0,0").focus();
    at("0,0").click();
    const more = Int32Array.from([20, 18, 0, 0, 4, 4, 1, 0]);
    live.put("fixed_eval/patterns", meta, more, [2, 2, 2], 1000);
    await shown();
    expect([at("0,0").textContent, at("1,1").textContent]).toEqual(["90 %n 20", "0 %n 1"]);
    expect(document.activeElement).toBe(at("0,0"));
    expect(el.querySelector<HTMLElement>(".nbm-failing")?.hidden).toBe(false);
    live.put(
      "fixed_eval/patterns",
      { ...meta, patterns: ["all"] },
      Int32Array.from([1, 1, 2, 0]),
      [1, 2, 2],
    );
    await shown();
    expect(el.querySelectorAll("tbody tr")).toHaveLength(2);
    expect(at("0,1").getAttribute("aria-label")).toContain("all, 100–300 tokens: 0 of 2");
    leave();
  });

  test("the table reads counts in C order", () => {
    const table = tableOf({ key: "", step: 0, dtype: "", shape: [2, 2, 2], meta, data: values });
    expect(table.map((row) => row.map((p) => p.cell.seen))).toEqual([
      [10, 0, 10],
      [4, 0, 4],
      [14, 0, 14],
    ]);
  });
});

describe("the adapters", () => {
  const layer = (n: number | string, q: number | null) => ({
    layer: n,
    q,
    k: null,
    v: null,
    o: null,
    mlp: null,
    relative: q === null ? null : q / 10,
    effective_rank: q === null ? null : 2.71999,
  });
  const adapter = (name: string, state: string) => ({
    name,
    layers: [layer(0, 0.1), layer(1, 0.5), layer("-", null)],
    top: [{ layer: 1, delta: 0.5 }],
    verdict: { state, reasons: [{ title: "B is zero", text: "in 4 of 4", action: "Look." }] },
  });

  test.each([
    ["learning", "LEARNING", "good"],
    ["partly", "LEARNS IN PART", "warn"],
    ["not learning", "NOT LEARNING", "bad"],
    ["too early", "TOO EARLY TO SAY", undefined],
  ])("%s is said plainly, with the reasons and what to do", async (state, word, tone) => {
    const { live, shown, leave } = mounted(adapters);
    live.put("lora/truth", { adapters: [adapter("default", state)] });
    const stamp = (await shown()).querySelector<HTMLElement>(".nbm-stamp");
    expect([stamp?.textContent, stamp?.dataset.tone]).toEqual([word, tone]);
    expect(stamp?.parentElement?.textContent).toContain("B is zeroin 4 of 4→ Look.");
    leave();
  });

  test("arrow keys tell each layer; what was not adapted is left out", async () => {
    const { live, shown, key, leave } = mounted(adapters);
    live.put(
      "lora/truth",
      { adapters: [adapter("default", "learning")] },
      undefined,
      undefined,
      70,
    );
    const el = await shown();
    const legend = () => el.querySelector(".nbm-legend")?.textContent;
    expect(legend()).toBe("3 layers · step 70");
    const slider = el.querySelector("[role=slider]");
    key(slider, "ArrowRight");
    await shown();
    expect(legend()).toBe("layer 0 · Δ q 0.100 · ‖ΔW‖/‖W‖ 1 % · rank 2.72");
    key(slider, "End");
    await shown();
    expect(legend()).toBe("outside");
    expect(el.querySelector(".nbm-top")?.textContent).toBe("TOP 1 BY Δlayer 10.500");
    leave();
  });

  test("there is a choice where there are several", async () => {
    const { live, shown, leave } = mounted(adapters);
    live.put("lora/truth", { adapters: [adapter("a", "learning")] });
    const el = await shown();
    const choice = el.querySelector<HTMLSelectElement>("[data-control=adapter]")!;
    expect(choice.hidden).toBe(true);
    live.put("lora/truth", { adapters: [adapter("a", "learning"), adapter("b", "partly")] });
    await shown();
    expect([choice.hidden, choice.value]).toEqual([false, "a"]);
    choice.value = "b";
    choice.dispatchEvent(new Event("change"));
    await shown();
    expect(el.querySelector(".nbm-stamp")?.textContent).toBe("LEARNS IN PART");
    leave();
  });
});

describe("the loss spikes", () => {
  const row = (n: number, losses: (number | null)[], index: number | null = n) => ({
    row: n,
    dataset_index: index,
    text: "ab\n",
    tokens: ["a", "b", "\n"],
    losses,
  });
  const two = [
    { step: 10, loss: 4, usual: 2, rows: [row(0, [null, 1, 1]), row(3, [9, 9, 9], null)] },
    { step: 20, loss: 9, usual: 3, rows: [row(5, [1, 2, 3])] },
  ];

  test("the worst comes first; a press shows another's rows, those with the most loss first", async () => {
    const { live, ui, shown, leave } = mounted(spikes);
    live.put("insight/spikes", { spikes: two });
    const el = await shown();
    const chips = () => [...el.querySelectorAll<HTMLElement>("[data-spike]")];
    expect(chips().map((c) => [c.dataset.spike, c.getAttribute("aria-pressed")])).toEqual([
      ["20", "true"],
      ["10", "false"],
    ]);
    chips()[1]!.focus();
    chips()[1]!.click();
    await shown();
    expect(ui.get("spike")).toBe(10);
    expect((document.activeElement as HTMLElement).dataset.spike).toBe("10");
    const heads = [...el.querySelectorAll(".nbm-spike-head")].map((h) => h.textContent);
    expect(heads).toEqual([
      "row 3 · place in the dataset not knownmean loss 9.00",
      "row 0 · dataset #0mean loss 1.00",
    ]);
    leave();
  });

  test("a token shows its loss, one without a loss says why, a line break can be seen", async () => {
    const { live, shown, leave } = mounted(spikes);
    live.put("insight/spikes", { spikes: [two[0]] });
    const el = await shown();
    const tokens = [
      ...el.querySelectorAll<HTMLElement>(".nbm-tokens")[1]!.children,
    ] as HTMLElement[];
    expect(tokens.map((t) => [t.textContent, t.title])).toEqual([
      ["a", "not trained on: no loss"],
      ["b", "loss 1.00"],
      ["⏎", "loss 1.00"],
    ]);
    expect(tokens[1]!.style.background).not.toBe("");
    leave();
  });

  test("rows that nobody can place say so once", async () => {
    const { live, shown, leave } = mounted(spikes);
    const rows = [row(0, [1], null), row(1, [2], null)];
    live.put("insight/spikes", { spikes: [{ step: 1, loss: 4, rows }] });
    expect((await shown()).textContent?.match(/not known/g)?.length).toBe(1);
    leave();
  });

  test("a loss that is no number is the worst, and is called what it is", async () => {
    const { live, shown, leave } = mounted(spikes);
    live.put("insight/spikes", { spikes: [...two, { step: 30, loss: "nan", usual: 2, rows: [] }] });
    const el = await shown();
    expect(el.querySelector("[data-spike]")?.textContent).toBe("step 30nan");
    expect(el.querySelector(".nbm-spike-rows")?.textContent).toContain("not kept");
    leave();
  });

  test("how far it stands out decides, and what could not be read says why", async () => {
    const { live, shown, leave } = mounted(spikes);
    const far = { ...two[0], step: 40, excess: 9 };
    const near = {
      ...two[1],
      step: 50,
      excess: 4,
      steps_later: 2,
      reason: "the batch is gone",
      rows: [],
    };
    live.put("insight/spikes", { spikes: [near, far] });
    const el = await shown();
    expect(el.querySelector<HTMLElement>("[data-spike]")?.dataset.spike).toBe("40");
    el.querySelector<HTMLElement>("[data-spike='50']")!.click();
    await shown();
    expect(el.querySelector(".nbm-spike-rows")?.textContent).toBe("the batch is gone");
    expect(el.querySelector(".nbm-legend")?.textContent).toContain("tokens read 2 steps later");
    leave();
  });

  test("the way back to the chart zooms to its steps", async () => {
    const { live, ui, shown, leave } = mounted(spikes);
    live.put("insight/spikes", { spikes: two });
    const el = await shown();
    el.querySelector<HTMLElement>("[data-control=spike-chart]")!.click();
    expect(ui.get("place")).toEqual({ key: "train/loss", window: [0, 60] });
    leave();
  });
});
