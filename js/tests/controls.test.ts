import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CONTROLS_KEY, Controls, type Wish } from "../src/controls";
import type { Control } from "../src/wire.gen";
import { FakeLive } from "./live";

let live: FakeLive;
let end: AbortController;
let controls: Controls;
let news: string[];

beforeEach(() => {
  vi.useFakeTimers();
  live = new FakeLive();
  end = new AbortController();
  controls = new Controls(live, end.signal);
  news = [];
  controls.onChange((wish) => wish && news.push(`${wish.name} ${wish.state}`), end.signal);
});
afterEach(() => {
  end.abort();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function answer(...pending: Partial<Wish>[]): void {
  live.put(CONTROLS_KEY, { pending, available: {}, learning_rate: { factor: 1, undo: false } });
}

describe("a wish", () => {
  test("goes from sent over queued to applied, each told once", () => {
    const { id } = controls.ask("pause");
    expect(live.sent).toEqual([{ kind: "control", id, name: "pause", value: null }]);
    expect(controls.open("pause")?.state).toBe("sent");
    answer({ id, name: "pause", state: "queued" });
    answer({ id, name: "pause", state: "queued" });
    answer({ id, name: "pause", state: "applied", message: "paused", step: 7 });
    expect(news).toEqual(["pause sent", "pause queued", "pause applied"]);
    expect(controls.open("pause")).toBeUndefined();
  });

  test("carries its value, and ids are never the same", () => {
    controls.ask("learning_rate", { multiply: 0.5 });
    controls.ask("learning_rate", { multiply: 0.5 });
    const [one, two] = live.sent as Control[];
    expect(one?.value).toEqual({ multiply: 0.5 });
    expect(one?.id).not.toBe(two?.id);
  });

  test("that nobody answers is told to have failed, and an answer that comes late counts", () => {
    const { id } = controls.ask("checkpoint");
    vi.advanceTimersByTime(9900);
    expect(controls.open("checkpoint")?.state).toBe("sent");
    vi.advanceTimersByTime(200);
    expect(news).toEqual(["checkpoint sent", "checkpoint failed"]);
    answer({ id, name: "checkpoint", state: "applied", step: 9 });
    expect(news.at(-1)).toBe("checkpoint applied");
  });

  test("that can't be sent has failed at once", () => {
    live.reachable = false;
    expect(controls.ask("pause").state).toBe("failed");
  });

  test("of another page or of Python is told too, but not what was decided before we came", () => {
    answer({ id: "old", name: "pause", state: "applied", step: 1 });
    expect(news).toEqual([]);
    const old = { id: "old", name: "pause", state: "applied" as const, step: 1 };
    answer(old, { id: "py", name: "resume", state: "applied", step: 3 });
    expect(news).toEqual(["resume applied"]);
  });
});

describe("what can't be asked for", () => {
  test.each([
    ["lost", "running", "the kernel is gone"],
    ["saved", "running", "this is a saved run: no kernel"],
    ["live", "finished", "the run is finished"],
    ["live", "waiting", "the run has not started yet"],
  ] as const)("link %s, run %s", (link, state, reason) => {
    live.setLink(link);
    live.setState(state);
    expect(controls.obstacle("pause")).toBe(reason);
    const wish = controls.ask("pause");
    expect([wish.state, wish.message]).toEqual(["refused", reason]);
    expect(live.sent).toEqual([]);
  });

  test("the kernel says by name why", () => {
    live.put(CONTROLS_KEY, { available: { evaluate: "no eval_dataset", pause: "" } });
    expect(controls.obstacle("evaluate")).toBe("no eval_dataset");
    expect(controls.obstacle("pause")).toBe("");
  });

  test("a run of another process can't be steered from here", () => {
    live.set("capabilities", { controls: "another process writes this run" });
    expect(controls.obstacle("stop")).toBe("another process writes this run");
  });
});

test("the learning rate's factor and the cadence are those that were applied", () => {
  live.put(CONTROLS_KEY, {
    pending: [{ id: "a", name: "cadence", value: { logging_steps: 25 }, state: "applied" }],
    learning_rate: { factor: 0.25, undo: true },
  });
  expect(controls.learningRate).toEqual({ factor: 0.25, undo: true });
  expect(controls.loggingSteps).toBe(25);
});
