/** Dashboards side by side, as widgets mount them: what is chosen in one holds for the other. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { mountDashboard } from "../../src/shell/mount";
import { FakeLive } from "../live";
import { panel } from "./mounted";
import { fakeCanvas, runFrames } from "./page";

beforeEach(fakeCanvas);
afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

const TABS = ["overview", "quality"];

/** A dashboard in `parent`, with a tab for each name. */
function open(parent: HTMLElement, tabs: readonly string[] = TABS) {
  const end = new AbortController();
  const live = new FakeLive();
  live.set(
    "panels",
    tabs.map((tab) => panel(`loss-${tab}`, { view: "line", keys: ["train/loss"], tab })),
  );
  const el = document.createElement("div");
  mountDashboard(el, live, end.signal);
  // As hosts do: filled first, put into the page later.
  parent.append(el);
  const tab = (name: string) => el.querySelector<HTMLElement>(`[data-tab=${name}]`);
  const chosen = () =>
    el.querySelector<HTMLElement>('[role="tab"][aria-selected="true"]')?.dataset.tab;
  const control = (id: string) => el.querySelector<HTMLElement>(`[data-control="${id}"]`);
  return { el, end, live, tab, chosen, control };
}

function pair(): HTMLElement {
  const el = document.createElement("div");
  el.className = "nbmonitor-pair";
  document.body.append(el);
  return el;
}

describe("dashboards side by side", () => {
  test("share their tab, in both directions", () => {
    const at = pair();
    const [a, b] = [open(at), open(at)];
    a.tab("quality")?.click();
    expect([a.chosen(), b.chosen()]).toEqual(["quality", "quality"]);
    b.tab("overview")?.click();
    expect([a.chosen(), b.chosen()]).toEqual(["overview", "overview"]);
  });

  test("one without the tab stays where it is, and takes the other nowhere", () => {
    const at = pair();
    const [a, b] = [open(at, [...TABS, "log"]), open(at)];
    b.tab("quality")?.click();
    a.tab("log")?.click();
    expect([a.chosen(), b.chosen()]).toEqual(["log", "quality"]);
  });

  test("others hear nothing: alone, in another pair, or gone", async () => {
    const at = pair();
    const [a, b, c, d] = [open(at), open(pair()), open(document.body), open(at)];
    d.end.abort();
    a.tab("quality")?.click();
    await runFrames();
    expect([a, b, c].map((one) => one.chosen())).toEqual(["quality", "overview", "overview"]);
    c.tab("quality")?.click();
    expect(b.chosen()).toBe("overview");
  });
});
