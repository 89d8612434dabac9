/** The dashboard as a whole: what it shows, what it leaves behind when it ends. */

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readOptions } from "../../dev/options";
import { Replay } from "../../dev/replay";
import { mountDashboard } from "../../src/shell/mount";
import { countListeners, fakeCanvas, runFrames } from "./page";

beforeEach(() => {
  fakeCanvas();
});

afterEach(() => {
  document.body.replaceChildren();
});

function open(query: string): { root: HTMLElement; replay: Replay; end: AbortController } {
  const end = new AbortController();
  const el = document.createElement("div");
  document.body.append(el);
  const replay = new Replay(readOptions(query));
  mountDashboard(el, replay, end.signal);
  return { root: el.querySelector<HTMLElement>(".nbmonitor")!, replay, end };
}

describe("readouts", () => {
  test("say what was measured, with totals", async () => {
    const { root, end } = open("?step=250&total=500");
    await runFrames();
    const text = (id: string) => root.querySelector(`[data-readout=${id}] b`)?.textContent;
    expect(text("step")).toBe("250/500");
    expect(text("epoch")).toBe("1.5/3");
    expect(text("learning_rate")).toMatch(/E-4$/);
    expect(text("eta")).toMatch(/^≈\d+:\d\d$/);
    end.abort();
  });

  test("say – and why, never 0, before anything was measured", async () => {
    const { root, end } = open("?step=0&state=waiting&total=500&gpus=0");
    await runFrames();
    const eta = root.querySelector("[data-readout=grad_norm]");
    expect(eta?.querySelector("b")?.textContent).not.toBe("0");
    end.abort();
  });
});

describe("a finished run", () => {
  test("is not called live, and says how long it took", async () => {
    const { root, end } = open("?step=500&total=500");
    await runFrames();
    expect(root.querySelector(".nbm-state")?.textContent).toBe("FINISHED");
    expect(root.querySelector(".nbm-link")?.textContent).toBe("IDLE");
    const eta = root.querySelector("[data-readout=eta]");
    expect(eta?.textContent).toBe("DURATION3:25");
    end.abort();
  });

  test("whose kernel died shows where its data are", () => {
    const { root, end } = open("?step=250&link=lost&file=out/run.sqlite");
    expect(root.querySelector(".nbm-banner")?.textContent).toContain(
      "kernel lost at step 250, data safe in out/run.sqlite",
    );
    end.abort();
  });
});

describe("panels", () => {
  test("an absent one is a row with its reason", () => {
    const { root, end } = open("?step=10&gpus=0");
    const gpu = root.querySelector("[data-panel=gpu]");
    expect(gpu?.textContent).toContain("libnvidia-ml");
    expect(gpu?.querySelector("canvas")).toBeNull();
    end.abort();
  });

  test("collapse and expand", () => {
    const { root, end } = open("?step=10");
    const panel = root.querySelector<HTMLElement>("[data-panel=loss]")!;
    const fold = panel.querySelector<HTMLElement>("[data-control=collapse]")!;
    fold.click();
    expect(fold.getAttribute("aria-expanded")).toBe("false");
    expect(panel.querySelector<HTMLElement>(".nbm-body")!.hidden).toBe(true);
    fold.click();
    expect(fold.getAttribute("aria-expanded")).toBe("true");
    end.abort();
  });

  test("tabs follow the arrow keys", () => {
    const { root, end } = open("?step=10");
    const tabs = [...root.querySelectorAll<HTMLElement>("[role=tab]")];
    expect(tabs.map((tab) => tab.textContent)).toEqual(["overview", "log"]);
    tabs[0]!.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    expect(tabs.map((tab) => tab.getAttribute("aria-selected"))).toEqual(["false", "true"]);
    end.abort();
  });
});

describe("the page", () => {
  test("is told after a paint of new data", async () => {
    const { root, replay, end } = open("?step=10&total=500");
    await runFrames();
    const seen: { step: number }[] = [];
    root.addEventListener("nbmonitor:painted", (e) => seen.push((e as CustomEvent).detail));
    replay.advance(20);
    await runFrames();
    expect(seen.at(-1)?.step).toBe(20);
    end.abort();
  });

  test("is left as it was found", async () => {
    const listeners = countListeners();
    const { root, replay, end } = open("?step=60&metrics=6");
    await runFrames();
    for (const id of [
      "lines",
      "log-y",
      "smooth",
      "range",
      "theme",
      "scanlines",
      "stop",
      "export",
    ]) {
      root.querySelector<HTMLElement>(`[data-control=${id}]`)?.click();
    }
    replay.advance(80);
    await runFrames();
    expect(listeners.open()).toBeGreaterThan(0);
    end.abort();
    expect(document.querySelector(".nbmonitor")).toBeNull();
    expect(listeners.open()).toBe(0);
    listeners.restore();
  });
});
