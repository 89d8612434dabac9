/** The tour's card, explanations, one matrix in full. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Asker } from "../../src/parameters/ask";
import { atFirst, chosenAt } from "../../src/parameters/chosen";
import { explainIn, explanationOf } from "../../src/parameters/explainer";
import { GroupBox } from "../../src/parameters/groupbox";
import { Magnified } from "../../src/parameters/magnified";
import { type Stop, stopsOf } from "../../src/parameters/tour";
import { TourBox } from "../../src/parameters/tourbox";
import { phaseAt, readMeta } from "../../src/parameters/words";
import { FakeLive } from "../live";
import { PALETTE } from "../views/mounted";
import { fakeCanvas } from "../views/page";
import { blob, meta } from "./samples";

beforeEach(fakeCanvas);
afterEach(() => {
  document.body.replaceChildren();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const M = meta(2);

test("the tour goes through all stops, and gives back what was before", () => {
  const end = new AbortController();
  const visited: (string | null)[] = [];
  const stops = stopsOf(M, 5);
  const visit = (stop: Stop | null) => visited.push(stop?.id ?? null);
  const box = new TourBox({ stops: () => stops, visit, signal: end.signal });
  document.body.append(box.begin, box.el);
  const press = (id: string) => box.el.querySelector<HTMLElement>(`[data-control=${id}]`)?.click();
  press("tour-next");
  expect(visited).toEqual([]);
  box.begin.click();
  expect([box.el.hidden, document.activeElement?.textContent]).toEqual([false, "NEXT"]);
  for (let i = 1; i < stops.length; i++) press("tour-next");
  expect(box.el.textContent).toContain(`${stops.length} of ${stops.length}`);
  press("tour-next");
  expect(visited).toEqual([...stops.map(({ id }) => id), null]);
  expect([box.el.hidden, document.activeElement]).toEqual([true, box.begin]);
  box.begin.click();
  box.el.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
  expect(visited.slice(-2)).toEqual(["start", null]);
  end.abort();
  box.begin.click();
  expect(visited.at(-1)).toBeNull();
});

describe("explanations", () => {
  test("of kinds, statistics, and phases by the kernel's names", () => {
    for (const what of ["kind:mlp", "statistic:l2", "phase:initialization", "phase:plateau"]) {
      expect(explanationOf(what)?.healthy, what).toBeTruthy();
    }
    expect(["kind:x", "phase:", "other:mlp", ""].map(explanationOf)).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });

  test("come on hover and on focus, and go", () => {
    const end = new AbortController();
    const root = document.createElement("div");
    root.innerHTML = '<button data-explain="kind:mlp"><i>MLP</i></button><b>other</b>';
    document.body.append(root);
    explainIn(root, end.signal);
    const tip = root.querySelector<HTMLElement>("[role=tooltip]")!;
    root.querySelector("i")?.dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect([tip.hidden, tip.textContent?.includes("Unhealthy:")]).toEqual([false, true]);
    root.querySelector("b")?.dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(tip.hidden).toBe(true);
    root.querySelector("button")?.dispatchEvent(new Event("focusin", { bubbles: true }));
    expect(tip.hidden).toBe(false);
    root.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
    expect(tip.hidden).toBe(true);
    end.abort();
    root.querySelector("i")?.dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(tip.hidden).toBe(true);
  });
});

test("the phase of a step is the last that began before it", () => {
  const phase = (step: number, name: string, from = step) => ({
    kind: "phase",
    step,
    time: 0,
    data: { name, from },
  });
  const events = [phase(5, "initialization", 0), phase(40, "rapid learning", 30)];
  expect([0, 29, 30, 99].map((step) => phaseAt(events, step))).toEqual([
    "initialization",
    "initialization",
    "rapid learning",
    "rapid learning",
  ]);
  expect(phaseAt([], 3)).toBe("");
});

describe("one matrix in full", () => {
  const matrix = M.matrices[1]!;

  function open() {
    const end = new AbortController();
    const live = new FakeLive();
    const asker = new Asker(live, () => {}, end.signal);
    const box = new Magnified({
      asker,
      live,
      palette: () => PALETTE,
      dirty: () => {},
      signal: end.signal,
    });
    document.body.append(box.el);
    return { end, live, box };
  }

  test("is asked of the kernel, and shown when it comes", async () => {
    const { end, live, box } = open();
    box.ask(matrix);
    expect(live.sent[0]).toMatchObject({ kind: "detail", keys: ["parameters/matrix/1"] });
    expect(box.answer(matrix)).toContain("asked");
    const { id } = live.sent[0] as { id: string };
    const cells = { values: Int16Array.of(-2, 0, 1, 2), shape: [2, 2], scale: 0.5 };
    const about = { id, matrix: 1, step: 7, shape: [768, 2304], note: "pooled 2 × 2" };
    live.put("parameters/matrix", { ...about, id: "another" }, blob(7, { cells }), undefined, 6);
    live.put("parameters/matrix", about, blob(7, { cells }), undefined, 7);
    await vi.waitFor(() => expect(box.el.hidden).toBe(false), { timeout: 8000 });
    box.paint()?.();
    expect(box.el.textContent).toContain("step 7 · 768 × 2304 · −1.00 to 1.00 · pooled 2 × 2");
    expect(box.answer(matrix)).toBe("");
    box.el.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
    expect(box.el.hidden).toBe(true);
    end.abort();
  });

  test("a refusal is told, and so is silence", async () => {
    vi.useFakeTimers();
    const { end, live, box } = open();
    box.ask(matrix);
    const { id } = live.sent[0] as { id: string };
    const answer = { id, key: "parameters/matrix/1", state: "waiting", note: "at the next step" };
    live.put("parameters/answer", { ...answer, id: "another" });
    expect(box.answer(matrix)).toBe("asked…");
    live.put("parameters/answer", answer);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(box.answer(matrix)).toBe("at the next step");
    live.put("parameters/answer", { ...answer, state: "refused", note: "it is on another rank" });
    expect(box.answer(matrix)).toBe("it is on another rank");
    box.ask(matrix);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(box.answer(matrix)).toBe("the kernel did not answer");
    expect(box.answer(M.matrices[2]!)).toBe("");
    end.abort();
  });

  test("without a kernel nothing is asked", () => {
    const { end, live, box } = open();
    live.setLink("saved");
    box.ask(matrix);
    expect(live.sent).toEqual([]);
    expect(box.answer(matrix)).toContain("no kernel");
    live.setLink("live");
    live.reachable = false;
    box.ask(matrix);
    expect(box.answer(matrix)).toContain("no kernel");
    end.abort();
  });

  test("damaged bytes are told", async () => {
    const { end, live, box } = open();
    box.ask(matrix);
    const { id } = live.sent[0] as { id: string };
    live.put("parameters/matrix", { id }, new Uint8Array(30));
    await vi.waitFor(() => expect(box.answer(matrix)).toContain("not a blob"), { timeout: 8000 });
    expect(box.el.hidden).toBe(true);
    end.abort();
  });
});

test("the legend of clusters names each by its nearest tokens, and how they were found", () => {
  const box = new GroupBox();
  const groups = {
    step: 1200,
    method: "k-means of this 3-D view",
    absent: "no scikit-learn",
    labels: Uint8Array.of(0, 0, 0, 1),
    groups: [
      { size: 3, tokens: [1, 2] },
      { size: 1, tokens: [3] },
    ],
  };
  box.show(groups, M, ["#00ffff"]);
  expect(box.el.hidden).toBe(false);
  expect(box.el.querySelector("p")?.textContent).toBe(
    "k-means of this 3-D view · at step 1,200 · because: no scikit-learn",
  );
  const rows = [...box.el.querySelectorAll("li")].map((row) => row.textContent);
  expect(rows).toEqual(["cat · dog3", "71"]);
  box.show(null, M, ["#00ffff"]);
  expect(box.el.hidden).toBe(true);
});

test("a token without a text goes by its number", () => {
  const given = { ...M, tokens: { ...M.tokens, texts: ["", "cat", "", "7"] } };
  const read = readMeta(new TextEncoder().encode(JSON.stringify(given)));
  expect(read?.tokens?.texts).toEqual(["#0", "cat", "#5", "7"]);
  expect(readMeta(new TextEncoder().encode("{}"))).toBeNull();
  expect(readMeta(undefined)).toBeNull();
});

test("a stop of the tour chooses what it is about", () => {
  const now = atFirst(M);
  const stop = stopsOf(M, 5).find(({ id }) => id === "attention")!;
  const then = chosenAt(stop, M, now);
  expect([...then.filters.without]).toEqual(M.kinds.filter((kind) => kind !== "attention"));
  expect([then.choices.shared, then.selected]).toEqual([false, null]);
  const first = stopsOf(M, 5).find(({ id }) => id === "embeddings")!;
  expect(chosenAt(first, M, now).selected).toBe(1);
  expect(atFirst({ ...M, tokens: null }).choices.showPositions).toBe(true);
});
