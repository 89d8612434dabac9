import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Session } from "../src/session";
import { append, FakeModel, FakeSignal, LOSS } from "./fakes";

let visibility: DocumentVisibilityState;
let end: AbortController;

beforeEach(() => {
  vi.useFakeTimers();
  visibility = "visible";
  end = new AbortController();
  vi.spyOn(document, "visibilityState", "get").mockImplementation(() => visibility);
});
afterEach(() => {
  end.abort();
  vi.useRealTimers();
});

function show(state: DocumentVisibilityState): void {
  visibility = state;
  document.dispatchEvent(new Event("visibilitychange"));
}

function history(): DataView {
  const data = readFileSync(join(import.meta.dirname, "../../tests/wire/history.bin"));
  return new DataView(new Uint8Array(data).buffer);
}

function open(model: FakeModel): Session {
  return new Session(model.page, end.signal);
}

describe("hello", () => {
  test("is sent at once, with nothing", () => {
    const model = new FakeModel();
    open(model);
    expect(model.sent).toEqual([{ kind: "hello", generation: 0, have: {}, events: 0, reels: {} }]);
  });

  test("says what the history trait restored", () => {
    const model = new FakeModel({ history: history() });
    const session = open(model);
    expect(model.sent).toEqual([session.store.have()]);
    expect(session.store.series("train/loss")?.rows).toBeGreaterThan(0);
  });

  test("a history that cannot be read is noted, and the page lives on", () => {
    const model = new FakeModel({ history: new DataView(new ArrayBuffer(64)) });
    expect(open(model).link.note).toContain("saved history cannot be read");
    expect(model.kinds()).toEqual(["hello"]);
  });

  test("a later history trait does not disturb the store", () => {
    const model = new FakeModel();
    const session = open(model);
    model.receive(...append(1, 0, [1, 2], { generation: 2, declare: [LOSS] }));
    model.setTrait("history", history());
    expect(session.store.series("train/loss")?.rows).toBe(2);
  });

  test("is said again when the host brings the state anew: the run may have ended meanwhile", () => {
    const model = new FakeModel();
    const session = open(model);
    model.receive(...append(1, 0, [1, 2], { declare: [LOSS] }));
    vi.advanceTimersByTime(1000);
    model.setTrait("history", history());
    expect(model.sent.slice(1)).toEqual([session.store.have()]);
    end.abort();
    model.setTrait("history", new DataView(new ArrayBuffer(8)));
    vi.advanceTimersByTime(1000);
    expect(model.sent).toHaveLength(2);
  });

  test("a storm of gaps asks at most twice a second, and asks at the end", () => {
    const model = new FakeModel();
    open(model);
    for (let i = 0; i < 50; i++) {
      model.receive(...append(10 + 2 * i, 100 + i, [1], { declare: [LOSS] }));
      vi.advanceTimersByTime(20);
    }
    expect(model.sent.length).toBeLessThanOrEqual(4);
    const before = model.sent.length;
    model.receive(...append(500, 900, [1]));
    vi.advanceTimersByTime(500);
    expect(model.sent.length).toBe(before + 1);
    expect(model.kinds()).not.toContain("ack");
  });
});

describe("acks", () => {
  test("come every 2 s while a view is visible", () => {
    const model = new FakeModel();
    const session = open(model);
    vi.advanceTimersByTime(6000);
    expect(model.kinds()).toEqual(["hello"]);
    const view = new AbortController();
    session.addView(view.signal);
    model.receive(...append(1, 0, [1], { declare: [LOSS] }));
    vi.advanceTimersByTime(6100);
    expect(model.sent.filter((m) => m.kind === "ack")).toEqual([
      { kind: "ack", seq: 1 },
      { kind: "ack", seq: 1 },
      { kind: "ack", seq: 1 },
    ]);
    view.abort();
    const before = model.sent.length;
    vi.advanceTimersByTime(10_000);
    expect(model.sent.length).toBe(before);
  });

  test("stop while the page is hidden; visible again it says hello", () => {
    const model = new FakeModel();
    open(model).addView(end.signal);
    vi.advanceTimersByTime(2100);
    show("hidden");
    const before = model.sent.length;
    vi.advanceTimersByTime(60_000);
    expect(model.sent.length).toBe(before);
    show("visible");
    expect(model.kinds().slice(before)).toEqual(["hello"]);
    vi.advanceTimersByTime(2100);
    expect(model.kinds().slice(before)).toEqual(["hello", "ack"]);
  });

  test("a run that is over gets one more and then none", () => {
    const model = new FakeModel();
    open(model).addView(end.signal);
    model.receive(...append(1, 0, [1], { declare: [LOSS] }));
    model.setState("finished");
    vi.advanceTimersByTime(20_000);
    expect(model.kinds().filter((k) => k === "ack")).toHaveLength(1);
  });

  test("everything ends with the signal", () => {
    const model = new FakeModel();
    const session = open(model);
    session.addView(end.signal);
    session.onTrait("status", () => {}, end.signal);
    end.abort();
    const before = model.sent.length;
    vi.advanceTimersByTime(60_000);
    show("visible");
    expect(model.sent.length).toBe(before);
    expect(model.listening).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test("a control that can't be sent says so, and the page shows why", () => {
  const model = new FakeModel();
  const session = open(model);
  const pause = { kind: "control" as const, id: "1", name: "pause", value: null };
  expect(session.send(pause)).toBe(true);
  expect(model.sent.at(-1)).toEqual(pause);
  model.send = () => {
    throw new Error("comm is closed");
  };
  expect(session.send(pause)).toBe(false);
  expect(session.link.note).toContain("cannot reach the kernel");
});

test("in Colab controls are also left where a busy kernel can fetch them", () => {
  const pause = { kind: "control" as const, id: "0", name: "pause", value: null };
  open(new FakeModel()).send(pause);
  expect(globalThis).not.toHaveProperty("nbmonitorControls");
  const session = open(new FakeModel({ capabilities: { host: "colab" }, picture_id: "mine" }));
  for (let n = 1; n <= 30; n += 1) session.send({ ...pause, id: String(n) });
  const { nbmonitorControls: left } = globalThis as { nbmonitorControls?: { mine: unknown[] } };
  expect(left?.mine).toHaveLength(20);
  expect(left?.mine.at(-1)).toEqual({ ...pause, id: "30" });
  Reflect.deleteProperty(globalThis, "nbmonitorControls");
});

test("the page's own source is what the widget was loaded from", () => {
  expect(open(new FakeModel({ _esm: "code", _css: "style" })).source()).toEqual({
    module: "code",
    style: "style",
  });
  expect(open(new FakeModel()).source()).toBeNull();
});

describe("bad messages", () => {
  test("bytes that cannot be read are noted once, and the next message is taken", () => {
    const model = new FakeModel();
    const session = open(model);
    const [message] = append(1, 0, [1], { declare: [LOSS] });
    model.receive(message, [new DataView(new ArrayBuffer(16))]);
    expect(session.link.note).toContain("frame version 0 given");
    model.receive(...append(2, 0, [1], { declare: [LOSS] }));
    expect(session.store.series("train/loss")?.rows).toBe(1);
  });

  test("an unknown kind is noted", () => {
    const model = new FakeModel();
    const session = open(model);
    model.emit("msg:custom", { kind: "surprise" }, []);
    model.emit("msg:custom", undefined, []);
    expect(session.link.note).toContain("reload the page");
  });
});

describe("link", () => {
  const kernel = () => ({ statusChanged: new FakeSignal() });

  test("a kernel that restarts is lost, with the last step", () => {
    const k = kernel();
    const model = new FakeModel({}, { kernel: k });
    const session = open(model);
    const told = vi.fn();
    session.onLink(told, end.signal);
    model.receive(...append(1, 0, [1, 2, 3], { declare: [LOSS] }));
    k.statusChanged.emit("busy");
    expect(session.link.state).toBe("live");
    k.statusChanged.emit("restarting");
    k.statusChanged.emit("autorestarting");
    expect(session.link).toMatchObject({
      state: "lost",
      message: "kernel lost at step 2; what you see is what this page had received",
    });
    expect(told).toHaveBeenCalledTimes(1);
    end.abort();
    expect(k.statusChanged.slots.size).toBe(0);
  });

  test("a kernel that dies leaves the data where they were written", () => {
    const k = kernel();
    const model = new FakeModel({ config: { run_file: "out/run.sqlite" } }, { kernel: k });
    const session = open(model);
    model.receive(...append(1, 0, [1, 2, 3], { declare: [LOSS] }));
    k.statusChanged.emit("dead");
    expect(session.link.message).toBe("kernel lost at step 2, data safe in out/run.sqlite");
  });

  test("silence of a running run is told in seconds, and ends with the next message", () => {
    const model = new FakeModel({}, { kernel: kernel() });
    const session = open(model);
    session.addView(end.signal);
    vi.advanceTimersByTime(9900);
    expect(session.link.state).toBe("live");
    vi.advanceTimersByTime(4000);
    expect(session.link).toMatchObject({ state: "quiet" });
    expect(session.link.message).toMatch(/no news from the kernel for 1[234] s/);
    model.receive(...append(1, 0, [1], { declare: [LOSS] }));
    expect(session.link).toMatchObject({ state: "live", message: "" });
  });

  test("silence does not count while nobody looks, nor when the run is not running", () => {
    const model = new FakeModel({}, { kernel: kernel() });
    const session = open(model);
    session.addView(end.signal);
    show("hidden");
    vi.advanceTimersByTime(60_000);
    show("visible");
    vi.advanceTimersByTime(5000);
    expect(session.link.state).toBe("live");
    model.setState("finished");
    vi.advanceTimersByTime(60_000);
    expect(session.link.state).toBe("live");
  });

  test("quiet ends when the run ends", () => {
    const model = new FakeModel({}, { kernel: kernel() });
    const session = open(model);
    session.addView(end.signal);
    vi.advanceTimersByTime(15_000);
    expect(session.link.state).toBe("quiet");
    model.setState("failed");
    expect(session.link.state).toBe("live");
  });

  test("a host without a kernel shows a saved run", () => {
    const model = new FakeModel({ history: history() }, { kernel: null });
    const session = open(model);
    expect(session.link.state).toBe("saved");
    expect(session.link.message).toMatch(/saved at step \d+, while running; no kernel/);
  });

  test("a host that says nothing of kernels is given 3 s to answer", () => {
    const silent = open(new FakeModel({ history: history() }));
    const model = new FakeModel({ history: history() });
    const answered = open(model);
    model.receive(...append(42, 0, [1], { generation: 2 }));
    expect(silent.link.state).toBe("live");
    vi.advanceTimersByTime(3100);
    expect(silent.link.state).toBe("saved");
    expect(answered.link.state).toBe("live");
  });

  test("a saved run whose new kernel knows nothing of it is saved, not quiet", () => {
    const model = new FakeModel({ history: history() }, { kernel: kernel() });
    const session = open(model);
    session.addView(end.signal);
    vi.advanceTimersByTime(15_000);
    expect(session.link.state).toBe("saved");
  });
});
