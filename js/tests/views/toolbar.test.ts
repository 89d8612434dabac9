/** The toolbar: what it sends, what it shows of the answer, what it refuses and why. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CONTROLS_KEY } from "../../src/controls";
import { mountDashboard } from "../../src/shell/mount";
import type { Control } from "../../src/wire.gen";
import { FakeLive } from "../live";
import { fakeCanvas } from "./page";

let live: FakeLive;
let end: AbortController;
let root: HTMLElement;

beforeEach(() => {
  fakeCanvas();
  live = new FakeLive();
  end = new AbortController();
  root = document.createElement("div");
  document.body.append(root);
  mountDashboard(root, live, end.signal);
});
afterEach(() => {
  end.abort();
  document.body.replaceChildren();
});

const control = <T extends HTMLElement = HTMLButtonElement>(id: string): T =>
  root.querySelector<T>(`[data-control="${id}"]`)!;
const notice = () => root.querySelector(".nbm-notice")?.textContent ?? "";
const sent = () => (live.sent as Control[]).map(({ name, value }) => [name, value]);
const visible = (id: string) => control(id).closest("[hidden]") === null;

function answer(state: string, message = "", step: number | null = null): void {
  const { id, name, value } = live.sent.at(-1) as Control;
  live.put(CONTROLS_KEY, { pending: [{ id, name, value, state, message, step }] });
}

function press(el: HTMLElement, key: string): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  el.dispatchEvent(event);
  return event;
}

describe("a button", () => {
  test("shows at once that its wish is sent, then queued, then applied with the step", () => {
    control("checkpoint").click();
    expect(sent()).toEqual([["checkpoint", null]]);
    expect(notice()).toBe("checkpoint: sent");
    expect(control("checkpoint").dataset.wish).toBe("sent");
    answer("queued");
    expect(notice()).toBe("checkpoint: queued");
    expect(control("checkpoint").dataset.wish).toBe("queued");
    answer("queued", "saving");
    expect(notice()).toBe("checkpoint: saving");
    answer("applied", "saved out/checkpoint-120", 120);
    expect(notice()).toBe("checkpoint: applied at step 120 · saved out/checkpoint-120");
    expect(control("checkpoint").dataset.wish).toBeUndefined();
  });

  test("tells why it was refused", () => {
    control("evaluate").click();
    answer("refused", "the Trainer has no eval_dataset");
    expect(notice()).toBe("evaluate refused: the Trainer has no eval_dataset");
    expect(root.querySelector(".nbm-notice")?.getAttribute("aria-live")).toBe("polite");
  });

  test("is disabled with the kernel's reason as its title", () => {
    live.put(CONTROLS_KEY, { available: { evaluate: "the Trainer has no eval_dataset" } });
    expect(control("evaluate").disabled).toBe(true);
    expect(control("evaluate").title).toBe("the Trainer has no eval_dataset");
    expect(control("checkpoint").disabled).toBe(false);
  });

  test.each([
    ["the run is over", () => live.setState("finished"), "the run is finished"],
    ["the kernel is lost", () => live.setLink("lost"), "the kernel is gone"],
    ["there is no kernel", () => live.setLink("saved"), "this is a saved run: no kernel"],
  ])("is disabled when %s", (_, happen, reason) => {
    happen();
    for (const id of ["pause", "checkpoint", "evaluate", "learning-rate", "cadence", "stop"]) {
      expect([control(id).disabled, control(id).title], id).toEqual([true, reason]);
    }
  });

  test("pause and resume share a place", () => {
    expect([control("pause").hidden, control("resume").hidden]).toEqual([false, true]);
    live.setState("paused");
    expect([control("pause").hidden, control("resume").hidden]).toEqual([true, false]);
    control("resume").click();
    expect(sent()).toEqual([["resume", null]]);
  });
});

describe("the learning rate", () => {
  test("is halved, doubled, set and set back", () => {
    const learning_rate = { factor: 0.5, undo: true };
    live.put(CONTROLS_KEY, { available: {}, learning_rate });
    control("learning-rate").click();
    control("lr-half").click();
    control("lr-double").click();
    control<HTMLInputElement>("lr-value").value = "2e-5";
    control("lr-set").click();
    control("lr-undo").click();
    expect(sent()).toEqual([
      ["learning_rate", { multiply: 0.5 }],
      ["learning_rate", { multiply: 2 }],
      ["learning_rate", { set: 2e-5 }],
      ["undo_learning_rate", null],
    ]);
    expect(control("learning-rate").textContent).toContain("×0.5");
  });

  test.each(["", "0", "-1e-4", "fast", "1e400"])("%j is no learning rate", (text) => {
    control("learning-rate").click();
    const input = control<HTMLInputElement>("lr-value");
    input.value = text;
    press(input, "Enter");
    expect(sent()).toEqual([]);
    expect(input.getAttribute("aria-invalid")).toBe("true");
    expect(root.querySelector(".nbm-wrong:not([hidden])")?.textContent).toContain("2e-5");
  });

  test("can't be undone before it was changed", () => {
    expect([control("lr-undo").disabled, control("lr-undo").title]).toEqual([
      true,
      "nothing to undo",
    ]);
  });
});

test("the cadence is a whole number of steps", () => {
  control("cadence").click();
  const input = control<HTMLInputElement>("cadence-value");
  for (const text of ["0", "1.5", "x"]) {
    input.value = text;
    control("cadence-set").click();
  }
  expect(sent()).toEqual([]);
  input.value = "25";
  control("cadence-set").click();
  expect(sent()).toEqual([["cadence", { logging_steps: 25 }]]);
  answer("applied", "", 3);
  expect(control("cadence").textContent).toContain("25");
});

describe("stop", () => {
  test.each([
    ["stop-now", "stop"],
    ["save-and-stop", "save_and_stop"],
  ])("%s asks again before anything is sent", (id, name) => {
    control("stop").click();
    control(id).click();
    expect(sent()).toEqual([]);
    expect(document.activeElement).toBe(control("stop-cancel"));
    control("stop-confirm").click();
    expect(sent()).toEqual([[name, null]]);
    expect(visible("stop-now")).toBe(false);
  });

  test("can be thought better of, and begins anew next time", () => {
    control("stop").click();
    control("stop-now").click();
    control("stop-cancel").click();
    expect(sent()).toEqual([]);
    control("stop").click();
    expect([visible("stop-now"), visible("stop-confirm")]).toEqual([true, false]);
  });
});

describe("keys", () => {
  test("typed in the toolbar don't reach the notebook", () => {
    const heard = vi.fn();
    document.body.addEventListener("keydown", heard, { signal: end.signal });
    control("learning-rate").click();
    for (const key of ["d", "0", "Enter", "x"]) press(control("lr-value"), key);
    press(control("pause"), "Enter");
    expect(heard).not.toHaveBeenCalled();
    expect(control("lr-value").closest("[data-lm-suppress-shortcuts]")).not.toBeNull();
  });

  test("Escape closes a menu and gives the focus back; arrows move in it", () => {
    control("stop").click();
    expect(control("stop").getAttribute("aria-expanded")).toBe("true");
    expect(document.activeElement).toBe(control("stop-now"));
    press(control("stop-now"), "ArrowDown");
    expect(document.activeElement).toBe(control("save-and-stop"));
    press(control("save-and-stop"), "Escape");
    expect(control("stop").getAttribute("aria-expanded")).toBe("false");
    expect(document.activeElement).toBe(control("stop"));
  });

  test("a press outside closes a menu", () => {
    control("cadence").click();
    document.body.dispatchEvent(new Event("pointerdown", { bubbles: true }));
    expect(control("cadence").getAttribute("aria-expanded")).toBe("false");
  });
});

test("where nobody can ever be asked there is no toolbar", () => {
  const alone = document.createElement("div");
  const mute = Object.assign(new FakeLive(), { send: undefined });
  mountDashboard(alone, mute as never, end.signal);
  expect(alone.querySelector("[data-control=pause]")).toBeNull();
  expect(alone.querySelector("[data-control=export]")).not.toBeNull();
});
