/** The table of ranks: what it says of each, who is named, and what it does with many. */

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FrameLoop } from "../../src/frame";
import type { Live } from "../../src/model";
import { Store } from "../../src/store";
import { UiState } from "../../src/ui";
import ranks from "../../src/views/ranks";
import type { PanelSpec } from "../../src/wire.gen";
import { append } from "../fakes";
import { fakeCanvas, runFrames } from "./page";

beforeEach(() => {
  fakeCanvas();
});

afterEach(() => {
  document.body.replaceChildren();
});

class Feed {
  readonly store = new Store();
  #ids = new Map<string, number>();
  #rows = new Map<string, number>();
  #seq = 0;

  /** A further value of each series. */
  set(values: Record<string, number>): void {
    for (const [key, value] of Object.entries(values)) {
      const known = this.#ids.get(key);
      const id = known ?? this.#ids.size;
      this.#ids.set(key, id);
      const offset = this.#rows.get(key) ?? 0;
      this.#rows.set(key, offset + 1);
      const declare = known === undefined ? [{ id, key, label: "", unit: "" }] : [];
      this.store.apply(...append(++this.#seq, offset, [value], { id, declare }));
    }
  }

  rank(rank: number, values: Record<string, number>): void {
    const named = Object.entries(values).map(([name, value]) => [`rank/${rank}/${name}`, value]);
    this.set(Object.fromEntries(named));
  }
}

function open(options: PanelSpec["options"] = {}) {
  const end = new AbortController();
  const el = document.createElement("div");
  document.body.append(el);
  const feed = new Feed();
  ranks.mount(el, {
    spec: {
      id: "ranks",
      title: "Ranks",
      view: "ranks",
      keys: ["rank/*/*", "ranks/*"],
      tab: "overview",
      order: 220,
      span: 12,
      absent: "",
      options,
    },
    live: { store: feed.store } as unknown as Live,
    ui: new UiState(),
    loop: new FrameLoop(end.signal),
    palette: () => ({}) as never,
    details: undefined as never,
    signal: end.signal,
    tools: document.createElement("div"),
  });
  const text = (selector: string) => el.querySelector(selector)?.textContent;
  const cell = (rank: number, name: string) =>
    el.querySelector<HTMLElement>(`tr[data-rank="${rank}"] [data-cell=${name}]`)!;
  const verdict = () => text("[data-readout=straggler]");
  return { el, feed, end, text, cell, verdict };
}

const EVEN = { step: 340, step_time: 0.05, work_time: 0.005, loss: 2.5, state: 0, silent: 0 };
const COMPARED = {
  "ranks/slowest": 1,
  "ranks/slowest_time": 0.045,
  "ranks/median_time": 0.005,
  "ranks/slowdown": 9,
  "ranks/window": 30,
  "ranks/straggler": 1,
};

describe("rows", () => {
  test("say what each rank has measured", async () => {
    const { feed, cell, text, end } = open();
    feed.rank(0, { ...EVEN, samples_per_second: 41.23, process_memory: 512 * 2 ** 20 });
    feed.rank(1, { ...EVEN, gpu_memory: 2 ** 34, gpu_memory_total: 2 ** 36, gpu_utilization: 88 });
    feed.set({ "ranks/loss_spread": 0.27 });
    await runFrames();
    expect(cell(0, "step").textContent).toBe("340");
    expect(cell(0, "loss").textContent).toBe("2.50");
    expect(cell(0, "rate").textContent).toBe("41.2");
    expect(cell(0, "memory").textContent).toBe("512 MiB");
    expect(cell(1, "gpu").textContent).toBe("16.0 GiB / 64.0 GiB · 88 %");
    expect(cell(0, "state").textContent).toBe("at work");
    expect(text("[data-readout=loss-spread]")).toContain("0.270");
    end.abort();
  });

  test("say – and why, never 0, for what could not be measured", async () => {
    const { el, feed, cell, text, end } = open({
      reasons: { "rank/0/gpu_memory": "the model is on cpu, not on a GPU" },
    });
    feed.rank(0, { ...EVEN });
    await runFrames();
    expect(cell(0, "memory").textContent).toBe("–");
    expect(cell(0, "memory").title).toBe("not measured yet");
    expect(el.querySelector("table")?.hasAttribute("data-gpu")).toBe(false);
    expect(text("[data-readout=loss-spread]")).toContain("the model is on cpu");
    end.abort();
  });

  test("keep the order of ranks, and each its own row, as they come and change", async () => {
    const { el, feed, end } = open();
    for (const rank of [5, 0, 63, 10]) feed.rank(rank, EVEN);
    await runFrames();
    const before = el.querySelector('tr[data-rank="10"]');
    for (let rank = 0; rank < 64; rank++) feed.rank(rank, { ...EVEN, step: 341 });
    await runFrames();
    const order = [...el.querySelectorAll<HTMLElement>("tbody tr")].map((row) => row.dataset.rank);
    expect(order).toEqual(Array.from({ length: 64 }, (_, rank) => String(rank)));
    expect(el.querySelector('tr[data-rank="10"]')).toBe(before);
    end.abort();
  });

  test("show own work, against the slowest, only where all have measured it", async () => {
    const { feed, cell, end } = open();
    feed.rank(0, EVEN);
    feed.rank(1, { ...EVEN, work_time: 0.02 });
    await runFrames();
    expect(cell(0, "pace").textContent).toBe("5.00 ms");
    expect(cell(0, "pace").querySelector(".nbm-track > div")?.getAttribute("style")).toContain(
      "0.250",
    );
    feed.rank(2, { step: 340, step_time: 0.05, state: 0 });
    await runFrames();
    expect(cell(0, "pace").textContent).toBe("50.0 ms");
    end.abort();
  });
});

describe("the line above", () => {
  test("names the straggler: how much slower, than what, over which window", async () => {
    const { feed, cell, verdict, end } = open();
    feed.rank(0, EVEN);
    feed.rank(1, { ...EVEN, work_time: 0.045, state: 1 });
    feed.set(COMPARED);
    await runFrames();
    expect(verdict()).toBe(
      "rank 1 is the straggler: 45.0 ms own work a step, 9.00 × the median of the others (5.00 ms), over the last 30 s",
    );
    expect(cell(1, "state").textContent).toBe("straggler");
    feed.set({ "ranks/straggler": -1, "ranks/slowdown": 1.02 });
    await runFrames();
    expect(verdict()).toContain("no straggler");
    end.abort();
  });

  test("puts a silent rank before everything else, and takes it back", async () => {
    const { el, feed, cell, verdict, end } = open();
    feed.rank(0, EVEN);
    feed.rank(1, { ...EVEN, state: 2, silent: 12.3 });
    feed.set(COMPARED);
    await runFrames();
    expect(verdict()).toBe("rank 1 has said nothing for 12 s, last at step 340");
    expect(cell(1, "state").textContent).toBe("silent 12 s");
    expect(el.querySelector("tr[data-rank='1']")?.getAttribute("data-state")).toBe("silent");
    feed.rank(1, { state: 0, silent: 0 });
    await runFrames();
    expect(verdict()).toContain("straggler");
    end.abort();
  });

  test("says that reports don't arrive, and that none has come", async () => {
    const waiting = open();
    await runFrames();
    expect(waiting.verdict()).toContain("waiting for the first reports");
    waiting.end.abort();
    const broken = open({ reasons: { ranks: "the other ranks can't be heard: broken pipe" } });
    broken.feed.rank(0, EVEN);
    await runFrames();
    expect(broken.verdict()).toBe("the other ranks can't be heard: broken pipe");
    broken.end.abort();
  });
});
