/** Alerts: folded by condition, listed by weight, put away, told when nobody looks. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AlertBook, asks, counted, dismissal } from "../../src/alerts";
import { Keeper } from "../../src/kept";
import { Session } from "../../src/session";
import { mountAlarm } from "../../src/shell/alarm";
import { UiState } from "../../src/ui";
import alerts from "../../src/views/alerts";
import { FakeModel } from "../fakes";
import { FakeLive } from "../live";
import { mounted } from "./mounted";
import { fakeCanvas, runFrames } from "./page";

const raised = (id: string, rest: Record<string, unknown> = {}) => ({
  id,
  rule: "r",
  severity: "warning",
  state: "raised",
  title: id,
  message: `${id} measured`,
  action: `do ${id}`,
  key: "train/loss",
  panel: "loss",
  window: [10, 40],
  confidence: 0.93,
  value: 1,
  ...rest,
});

beforeEach(() => {
  fakeCanvas();
});

afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

describe("the book", () => {
  test("tells one alert per condition, however often it was told", () => {
    const live = new FakeLive();
    const book = new AlertBook();
    live.event("alert", 40, raised("a"));
    expect(book.read(live.store).map((a) => a.id)).toEqual(["a"]);
    live.event("alert", 50, raised("a", { message: "worse" }));
    expect(book.read(live.store)).toEqual([]);
    expect(book.all).toMatchObject([
      { step: 40, raises: 1, severity: "warning", message: "worse" },
    ]);
    live.event("alert", 60, { id: "a", state: "cleared", message: "no longer", title: "a" });
    expect(book.read(live.store)).toEqual([]);
    expect(book.all).toMatchObject([{ open: false, cleared: 60, message: "worse" }]);
    live.event("alert", 90, raised("a"));
    expect(book.read(live.store)).toHaveLength(1);
    expect(book.all).toMatchObject([{ open: true, cleared: null, step: 90, raises: 2 }]);
  });

  test("has news of one that has become graver, also for a viewer who had put it away", () => {
    const live = new FakeLive();
    const book = new AlertBook();
    live.event("alert", 40, raised("a"));
    const [alert] = book.read(live.store);
    const away = new Set([dismissal(alert!)]);
    live.event("alert", 50, raised("a", { severity: "critical" }));
    expect(book.read(live.store)).toMatchObject([{ step: 40, severity: "critical" }]);
    expect(asks(book.all[0]!, away)).toBe(true);
    live.event("alert", 60, raised("a", { severity: "critical" }));
    live.event("alert", 70, raised("a", { severity: "info" }));
    expect(book.read(live.store)).toEqual([]);
  });

  test("takes alerts of older runs, which have a severity, a title and a message", () => {
    const live = new FakeLive();
    const book = new AlertBook();
    live.event("alert", 5, { level: "warn", title: "Old", message: "one" });
    live.event("alert", 6, { level: "warn", title: "Old", message: "two" });
    live.event("alert", 7, { title: "Odd", message: "x", window: ["a", 3], confidence: "NaN" });
    book.read(live.store);
    expect(book.all.map((a) => [a.title, a.severity, a.open, a.window, a.confidence])).toEqual([
      ["Old", "warning", true, null, null],
      ["Old", "warning", true, null, null],
      ["Odd", "warning", true, null, null],
    ]);
  });

  test("one that was raised and cleared before anybody looked is no news", () => {
    const live = new FakeLive();
    live.event("alert", 5, raised("a"));
    live.event("alert", 6, raised("a", { state: "cleared" }));
    expect(new AlertBook().read(live.store)).toEqual([]);
  });

  test("counts what asks for a look: open, not put away, more than an information", () => {
    const live = new FakeLive();
    const book = new AlertBook();
    live.event("alert", 5, raised("a"));
    live.event("alert", 6, raised("b", { severity: "critical" }));
    live.event("alert", 7, raised("c", { severity: "info" }));
    book.read(live.store);
    expect(counted(book.all, new Set())).toEqual({ count: 2, worst: "critical" });
    const away = new Set([dismissal(book.all[1]!)]);
    expect(counted(book.all, away)).toEqual({ count: 1, worst: "warning" });
    live.event("alert", 8, raised("b", { state: "cleared" }));
    live.event("alert", 9, raised("b", { severity: "critical" }));
    book.read(live.store);
    expect(asks(book.all[1]!, away)).toBe(true);
  });
});

describe("the list", () => {
  const ids = (el: HTMLElement) =>
    [...el.querySelectorAll<HTMLElement>("[data-alert]")].map((row) => row.dataset.alert);

  test("says what will be watched while there is nothing, or what its panel says", async () => {
    const one = mounted(alerts);
    expect((await one.shown()).querySelector(".nbm-empty")?.textContent).toContain("rules watch");
    one.leave();
    const other = mounted(alerts, { options: { empty: "all quiet" } });
    expect((await other.shown()).querySelector(".nbm-empty")?.textContent).toBe("all quiet");
    other.leave();
  });

  test("has the weightiest first, with measurement, window, certainty and action", async () => {
    const { live, shown, leave } = mounted(alerts);
    live.event("alert", 40, raised("minor"));
    live.event("alert", 30, raised("major", { severity: "critical" }));
    live.event("alert", 50, raised("gone"));
    live.event("alert", 60, raised("gone", { state: "cleared" }));
    const el = await shown();
    expect(ids(el)).toEqual(["major", "minor"]);
    const row = el.querySelector("[data-alert=major]");
    for (const text of ["critical", "major measured", "step 10–40", "93 % sure", "→ do major"]) {
      expect(row?.textContent).toContain(text);
    }
    expect(el.querySelector(".nbm-legend")?.textContent).toBe("2 open · 1 over");
    el.querySelector<HTMLElement>("[data-control=all-alerts]")!.click();
    await shown();
    expect(ids(el)).toEqual(["major", "minor", "gone"]);
    expect(el.querySelector("[data-alert=gone]")?.textContent).toContain("over at 60");
    leave();
  });

  test("a click on one asks to be taken to its place", async () => {
    const { live, ui, shown, leave } = mounted(alerts);
    live.event("alert", 40, raised("a"));
    const el = await shown();
    el.querySelector<HTMLElement>(".nbm-alert-main")!.click();
    expect(ui.get("place")).toEqual({
      panel: "loss",
      key: "train/loss",
      window: [10, 40],
      step: 40,
    });
    leave();
  });

  test("one that is put away stays away, in another rendering too, until it is raised anew", async () => {
    const { live, ui, shown, leave } = mounted(alerts);
    live.event("alert", 40, raised("a"));
    live.event("alert", 41, raised("b"));
    const el = await shown();
    const away = el.querySelector<HTMLElement>("[data-alert=b] [data-control=dismiss]")!;
    away.focus();
    away.click();
    await shown();
    expect(ids(el)).toEqual(["a"]);
    expect(document.activeElement?.getAttribute("aria-label")).toBe("Dismiss: a");
    const kept = new Keeper({ dismissed: [...ui.get("dismissed")] });
    expect(new UiState(kept).get("dismissed").size).toBe(1);
    live.event("alert", 50, raised("b", { state: "cleared" }));
    live.event("alert", 60, raised("b"));
    await shown();
    expect(ids(el)).toEqual(["b", "a"]);
    leave();
  });
});

describe("what is kept", () => {
  test("outlives a view of the model", () => {
    const kept = new Keeper();
    new UiState(kept).toggle("dismissed", "a#1");
    const next = new UiState(kept);
    expect([...next.get("dismissed")]).toEqual(["a#1"]);
    next.set("notify", false);
    expect(new UiState(kept).get("notify")).toBe(false);
  });

  test("is followed by another view of the model, as long as that lasts", () => {
    const [kept, end] = [new Keeper(), new AbortController()];
    const other = new UiState(kept, end.signal);
    const ui = new UiState(kept, new AbortController().signal);
    ui.toggle("dismissed", "a#1");
    other.toggle("dismissed", "b#1");
    expect([...ui.get("dismissed")]).toEqual(["a#1", "b#1"]);
    end.abort();
    ui.toggle("dismissed", "b#1");
    expect([...other.get("dismissed")]).toEqual(["a#1", "b#1"]);
  });

  test("is told to the kernel one by one, and stays in the page as a whole", () => {
    const model = new FakeModel({ kept: { dismissed: ["a#1"], notify: null } });
    const end = new AbortController();
    const { kept } = new Session(model.page, end.signal);
    const ui = new UiState(kept, end.signal);
    expect([...ui.get("dismissed")]).toEqual(["a#1"]);
    ui.toggle("dismissed", "b#1");
    ui.toggle("dismissed", "a#1");
    ui.set("notify", false);
    expect(model.sent.filter((m) => m.kind === "keep")).toEqual([
      { kind: "keep", name: "dismissed", id: "b#1", on: true },
      { kind: "keep", name: "dismissed", id: "a#1", on: false },
      { kind: "keep", name: "notify", id: "", on: false },
    ]);
    expect(model.get("kept")).toEqual({ dismissed: ["b#1"], notify: false });
    end.abort();
  });
});

/** A browser that has messages; `asked` counts its questions. */
function browser(permission: NotificationPermission, answer: NotificationPermission = "granted") {
  const told: { title: string; tag: string }[] = [];
  const fake = Object.assign(
    class {
      constructor(title: string, { tag }: { tag: string }) {
        told.push({ title, tag });
      }
    },
    {
      permission,
      requestPermission: vi.fn(async () => {
        fake.permission = answer;
        return answer;
      }),
    },
  );
  vi.stubGlobal("Notification", fake);
  return { told, fake };
}

describe("the counter and the messages", () => {
  const hidden = (yes: boolean) =>
    vi.spyOn(document, "visibilityState", "get").mockReturnValue(yes ? "hidden" : "visible");

  function bar() {
    const end = new AbortController();
    const [live, ui] = [new FakeLive(), new UiState()];
    return { live, ui, end, el: mountAlarm(live, ui, end.signal) };
  }

  test("the counter shows how many there are, and takes the viewer there", () => {
    const { live, ui, el, end } = bar();
    expect(el.hidden).toBe(true);
    live.event("alert", 40, raised("a", { severity: "critical" }));
    expect([el.hidden, el.textContent, el.dataset.severity]).toEqual([false, "▲ 1", "critical"]);
    el.click();
    expect(ui.get("place")).toMatchObject({ panel: "alerts" });
    ui.toggle("dismissed", "a#1");
    expect(el.hidden).toBe(true);
    end.abort();
    live.event("alert", 50, raised("b"));
    expect(el.hidden).toBe(true);
  });

  test("a message is sent for what is raised while the page is hidden, not for what was before", () => {
    const { told } = browser("granted");
    hidden(true);
    const end = new AbortController();
    const live = new FakeLive();
    live.event("alert", 1, raised("before"));
    mountAlarm(live, new UiState(), end.signal);
    live.event("alert", 2, raised("now"));
    live.event("alert", 3, raised("now"));
    live.event("alert", 4, raised("small", { severity: "info" }));
    expect(told.map((t) => t.title)).toEqual(["nbmonitor: now"]);
    hidden(false);
    live.event("alert", 5, raised("seen"));
    expect(told).toHaveLength(1);
    end.abort();
  });

  test.each(["default", "denied"] as const)("none is sent where permission is %s", (permission) => {
    const { told, fake } = browser(permission);
    hidden(true);
    const { live, end } = bar();
    live.event("alert", 2, raised("now"));
    expect(told).toEqual([]);
    expect(fake.requestPermission).not.toHaveBeenCalled();
    end.abort();
  });

  test("permission is asked for once, by a press; then the button turns messages off and on", async () => {
    const { fake } = browser("default");
    const { ui, el, leave } = mounted(alerts);
    const button = el.querySelector<HTMLButtonElement>("[data-control=notify]")!;
    expect(button.getAttribute("aria-pressed")).toBe("false");
    button.click();
    await runFrames(1);
    expect([ui.get("notify"), button.getAttribute("aria-pressed")]).toEqual([true, "true"]);
    button.click();
    button.click();
    await runFrames(1);
    expect(ui.get("notify")).toBe(true);
    expect(fake.requestPermission).toHaveBeenCalledTimes(1);
    leave();
  });

  test("a browser that has been told no is not asked again", () => {
    browser("denied");
    const { el, leave } = mounted(alerts);
    const button = el.querySelector<HTMLButtonElement>("[data-control=notify]")!;
    expect(button.disabled).toBe(true);
    expect(button.title).toContain("does not allow");
    leave();
  });
});
