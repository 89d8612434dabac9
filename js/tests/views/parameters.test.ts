/** The Parameters tab: playback and charts share a cursor, controls do what they say, nothing is left behind. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import parameters from "../../src/views/parameters";
import { change, feed, meta, snapshot } from "../parameters/samples";
import { mounted } from "./mounted";
import { fakeCanvas, runFrames } from "./page";

/** Bytes are unpacked by the host, whose other work takes its time. */
const PATIENT = { timeout: 8000, interval: 10 };
const STEPS = [0, 1, 2, 4, 8, 16, 32, 64];

beforeEach(fakeCanvas);
afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

function open(steps: readonly number[] = STEPS) {
  const view = mounted(parameters);
  if (steps.length > 0) feed(view.live, steps);
  const control = <T extends HTMLElement = HTMLButtonElement>(id: string) =>
    view.el.querySelector<T>(`[data-control="${id}"]`)!;
  const now = () => view.el.querySelector('[data-readout="snapshot"]')?.textContent ?? "";
  const step = () => Number(control("scrub").getAttribute("aria-valuenow"));
  /** Until the snapshot that is wanted has been unpacked and shown. */
  const ready = async (at: number) => {
    await vi.waitFor(async () => {
      await runFrames(2);
      expect(view.el.querySelector<HTMLElement>(".nbm-stagebox")?.dataset.step).toBe(String(at));
    }, PATIENT);
  };
  return { ...view, control, now, step, ready };
}

describe("playback", () => {
  test("stands at the newest, and goes with it", async () => {
    const v = open();
    await v.ready(64);
    expect(v.now()).toContain("snapshot 8 of 8");
    expect(v.ui.get("cursor")).toBeNull();
    snapshot(v.live, 128, 8);
    await v.ready(128);
    expect(v.control("follow").getAttribute("aria-pressed")).toBe("true");
    v.leave();
  });

  test("buttons and keys move it by snapshots; the charts' cursor goes with it", async () => {
    const v = open();
    await v.ready(64);
    v.control("step-back").click();
    await v.ready(32);
    expect(v.ui.get("cursor")).toBe(32);
    v.key(v.control("scrub"), "ArrowLeft");
    await v.ready(16);
    v.key(v.control("scrub"), "Home");
    await v.ready(0);
    expect([v.step(), v.ui.get("cursor")]).toEqual([0, 0]);
    v.control("follow").click();
    await v.ready(64);
    expect(v.ui.get("cursor")).toBeNull();
    v.leave();
  });

  test("a cursor on a chart takes it there; where that leaves, it stays", async () => {
    const v = open();
    await v.ready(64);
    v.ui.set("cursor", 8.3);
    await v.ready(8);
    expect(v.ui.get("cursor")).toBe(8.3);
    v.ui.set("cursor", null);
    await runFrames();
    expect([v.step(), v.ui.get("cursor")]).toEqual([8, null]);
    v.close();
  });

  test("plays to the end", async () => {
    const v = open([0, 1, 2, 3]);
    await v.ready(3);
    v.control<HTMLSelectElement>("speed").value = "50";
    v.control("speed").dispatchEvent(new Event("change"));
    v.control("playback").click();
    await runFrames(2);
    expect(v.control("playback").getAttribute("aria-label")).toBe("Pause (space)");
    await v.ready(3);
    await vi.waitFor(async () => {
      await runFrames(2);
      expect(v.control("playback").getAttribute("aria-pressed")).toBe("false");
    }, PATIENT);
    v.close();
  });

  test("jumps to a step, also one between snapshots, and says that this is interpolated", async () => {
    const v = open();
    await v.ready(64);
    const jump = v.control<HTMLInputElement>("jump");
    jump.value = "12";
    jump.dispatchEvent(new Event("change"));
    await v.ready(8);
    expect(v.step()).toBe(12);
    expect(v.now()).toContain("snapshot 5–6 of 8 · interpolated");
    v.control("interpolate").click();
    await runFrames();
    expect(v.now()).not.toContain("interpolated");
    v.close();
  });

  test("keys that are typed there don't reach the notebook", async () => {
    const v = open();
    await v.ready(64);
    const heard = vi.fn();
    document.body.addEventListener("keydown", heard);
    for (const name of ["d", " ", "ArrowLeft"]) v.key(v.control("scrub"), name);
    v.key(v.control("search-token"), "x");
    expect(heard).not.toHaveBeenCalled();
    document.body.removeEventListener("keydown", heard);
    v.close();
  });
});

describe("filters and tokens", () => {
  const told = (el: Element) => el.querySelector('[aria-label="Filters"] h4')?.textContent;

  test("layers, kinds, and the most changed", async () => {
    const v = open();
    await v.ready(64);
    expect(told(v.el)).toContain("19 of 19 shown");
    v.control("layers-early").click();
    await runFrames();
    expect(told(v.el)).toContain("7 of 19");
    expect(v.control("layer-h:0").getAttribute("aria-pressed")).toBe("true");
    expect(v.control("layer-h:5").getAttribute("aria-pressed")).toBe("false");
    v.control("kind-norm").click();
    await runFrames();
    expect(told(v.el)).toContain("5 of 19");
    const top = v.control<HTMLSelectElement>("top-k");
    top.value = "3";
    top.dispatchEvent(new Event("change"));
    await runFrames();
    expect(told(v.el)).toContain("3 of 19");
    v.close();
  });

  test("a token is found, selected and followed", async () => {
    const v = open();
    await v.ready(64);
    const field = v.control<HTMLInputElement>("search-token");
    field.value = "do";
    field.dispatchEvent(new Event("input"));
    expect(v.control("token-2").textContent).toBe("dog");
    v.key(field, "Enter");
    await runFrames();
    const about = v.el.querySelector(".nbm-token");
    expect(about?.textContent).toContain("norm 2.7");
    expect(about?.textContent).toContain("moved –");
    v.control("follow-token").click();
    await runFrames();
    expect(v.control("trail-2").textContent).toContain("dog");
    v.control("trail-2").click();
    await runFrames();
    expect(v.control("trail-2")).toBeNull();
    v.close();
  });

  test("the numbers of a matrix, with – for what is unknown", async () => {
    const v = open();
    await v.ready(64);
    v.control("most-0").click();
    await runFrames();
    const box = v.el.querySelector('[aria-label="Matrices"]')?.textContent;
    expect(box).toContain("‖W‖ 10");
    expect(box).toContain("mean –");
    v.close();
  });
});

describe("below the stage", () => {
  const told = (el: Element, id: string) =>
    el.querySelector(`[data-insight="${id}"]`)?.textContent ?? "";

  test("what matrices tell together is of the moment that is played", async () => {
    const v = open();
    for (const step of [8, 64]) {
      change(v.live, step, (id) => [(id * step) / 1000, 64, 0, 0, 1, 0], [1, 4]);
    }
    await v.ready(64);
    await vi.waitFor(async () => {
      await runFrames(2);
      expect(told(v.el, "since")).toContain("1.15");
    }, PATIENT);
    expect(told(v.el, "units")).toContain("none found among 1,216 sampled units");
    v.ui.set("cursor", 16);
    await v.ready(16);
    await vi.waitFor(async () => {
      await runFrames(2);
      expect(told(v.el, "since")).toContain("0.144");
    }, PATIENT);
    v.ui.set("cursor", 4);
    await v.ready(4);
    expect(told(v.el, "since")).toContain("– not known at this step");
    v.control("colour-since").click();
    await runFrames();
    expect(v.control("colour-since").getAttribute("aria-pressed")).toBe("true");
    expect(v.el.querySelector<HTMLElement>(".nbm-groups")?.hidden).toBe(true);
    v.leave();
  });

  test("a matrix named there is gone to", async () => {
    const v = open();
    change(v.live, 64, (id) => [id, 64, id === 5 ? 2 : 0, 0, 1, 0], [1, 4]);
    await v.ready(64);
    await vi.waitFor(async () => {
      await runFrames(2);
      expect(v.control("unit-0").textContent).toContain("2 dead");
    }, PATIENT);
    v.control("unit-0").click();
    await runFrames();
    expect(v.el.querySelector('[aria-label="Matrices"] b')?.textContent).toBe("h.1 mlp");
    v.close();
  });
});

describe("what is lacking is said", () => {
  test.each([
    ["running", "live", "waiting for the first snapshot"],
    ["waiting", "live", "waiting for the first step"],
    ["finished", "live", "no snapshot of the parameters was taken"],
    ["finished", "saved", "this copy of the run holds no snapshots"],
  ] as const)("%s, %s", async (state, link, text) => {
    const v = open([]);
    v.live.setState(state);
    v.live.setLink(link);
    await runFrames();
    expect(v.el.querySelector(".nbm-empty")?.textContent).toContain(text);
    expect(v.el.querySelector<HTMLElement>(".nbm-parameters")?.hidden).toBe(true);
    v.close();
  });

  test("snapshots that are elsewhere, and a model without tokens", async () => {
    const m = meta(2, { tokens: null, absent: { tokens: "the model has no token embedding" } });
    const v = open([]);
    v.live.setLink("saved");
    feed(v.live, [], m);
    snapshot(v.live, 5, 0, m);
    snapshot(v.live, 90, 17, m);
    await v.ready(90);
    expect(v.now()).toContain("16 more in the run file only");
    expect(v.el.querySelector(".nbm-token")?.textContent).toBe(
      "– the model has no token embedding",
    );
    expect(v.control<HTMLInputElement>("search-token").disabled).toBe(true);
    v.close();
  });

  test("a meta that is none is nothing", async () => {
    const v = open([]);
    v.live.put("parameters/meta", {}, Uint8Array.of(1, 2, 3));
    snapshot(v.live, 5, 0);
    await runFrames();
    expect(v.el.querySelector(".nbm-empty")?.textContent).toContain("waiting");
    v.close();
  });
});
