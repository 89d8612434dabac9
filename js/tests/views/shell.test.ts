/** Small pure parts of the shell and the views: rows of panels, durations, markers. */

import { describe, expect, test } from "vitest";
import { eventLook, eventText, nearby } from "../../src/chart/events";
import { thinnedOut } from "../../src/chart/markers";
import { marked } from "../../src/chart/spotlight";
import type { Palette } from "../../src/paint";
import { spans } from "../../src/shell/tabs";
import { UiState } from "../../src/ui";
import { took } from "../../src/views/readouts";
import type { PanelSpec, RunEvent } from "../../src/wire.gen";

const panel = (id: string, span: number, absent = "") => ({ id, span, absent }) as PanelSpec;
const event = (kind: string, step: number, data: Record<string, unknown> = {}): RunEvent => ({
  kind,
  step,
  time: step,
  data,
});
const palette = { warn: "warn", gauge: "gauge", hot: "hot", eval: "eval" } as Palette;

describe("columns of panels", () => {
  const four = [panel("a", 6), panel("b", 6), panel("c", 6), panel("d", 6)];

  test("the last of a row takes what would stay empty", () => {
    expect(spans([panel("a", 5), panel("b", 5), panel("c", 4)])).toEqual([5, 7, 12]);
    expect(spans([panel("a", 6), panel("x", 6, "why")])).toEqual([12, 12]);
  });

  test("a collapsed panel leaves no hole beside its neighbour", () => {
    expect(spans(four, new Set(["b"]))).toEqual([12, 12, 6, 6]);
    expect(spans(four, new Set(["c"]))).toEqual([6, 6, 12, 12]);
  });

  test("a row that is collapsed as a whole stays a row", () => {
    expect(spans(four, new Set(["a", "b"]))).toEqual([6, 6, 6, 6]);
  });
});

describe("how long a run took", () => {
  const status = (time: number, state: string) => ({
    ...event("status", 0, { status: state }),
    time,
  });

  test("from its start to its end, pauses included", () => {
    const all = [
      status(10, "running"),
      status(20, "paused"),
      status(60, "running"),
      status(100, "finished"),
    ];
    expect(took(all)).toBe(90);
  });

  test("of a run that was taken up again, the last time", () => {
    const all = [
      status(10, "running"),
      status(20, "interrupted"),
      status(500, "running"),
      status(530, "finished"),
    ];
    expect(took(all)).toBe(30);
  });

  test("is not known without both ends", () => {
    expect(took([status(10, "finished")])).toBeNull();
    expect(took([status(10, "running")])).toBeNull();
  });
});

describe("markers", () => {
  test("controls, checkpoints, evaluations, alerts, pauses and resumptions are drawn", () => {
    const drawn = [
      event("control", 1, { name: "pause" }),
      event("checkpoint", 1),
      event("evaluate", 1),
      event("alert", 1),
      event("resumed", 1),
      event("status", 1, { status: "paused" }),
    ];
    expect(drawn.every((e) => eventLook(e, palette) !== null)).toBe(true);
    expect(eventLook(event("status", 1, { status: "running" }), palette)).toBeNull();
    expect(eventLook(event("note", 1), palette)).toBeNull();
  });

  test("five hundred of them keep their distance, and the weighty ones stay", () => {
    const look = (rank: number) => ({ color: "", sign: "alert" as const, line: true, rank });
    const all = Array.from({ length: 500 }, (_, i) => ({ at: i, look: look(i === 250 ? 9 : 1) }));
    const kept = thinnedOut(all, 11);
    expect(kept.length).toBeLessThanOrEqual(500 / 11 + 1);
    expect(kept.some(({ at }) => at === 250)).toBe(true);
    expect(kept.every(({ at }, i) => i === 0 || at - kept[i - 1]!.at > 0)).toBe(true);
  });

  test("say their own message, else what they are", () => {
    expect(eventText(event("control", 1, { message: "paused by the viewer" }))).toBe(
      "paused by the viewer",
    );
    expect(eventText(event("alert", 1, { title: "Spike", message: "6 σ" }))).toBe("Spike: 6 σ");
    expect(eventText(event("checkpoint", 1, { path: "out/c" }))).toBe("checkpoint out/c");
    expect(eventText(event("status", 1, { status: "paused", message: "" }))).toBe("paused");
  });

  test("are told to whoever points near, the weightiest first, not more than three", () => {
    const all = [1, 2, 3, 4, 5].map((n) => event("checkpoint", 100 + n, { message: `m${n}` }));
    all.push(event("alert", 105, { message: "spike" }), event("note", 103, { message: "no" }));
    const near = nearby(all, palette, 103, 5)!;
    expect(near.lines[0]).toBe("105 · spike");
    expect([near.lines.length, near.more]).toEqual([3, 3]);
    expect(nearby(all, palette, 300, 5)).toBeNull();
  });
});

test("the steps that a viewer was sent to are marked until the zoom is left", () => {
  const ui = new UiState();
  ui.set("place", { window: [10, 20] });
  expect(marked(ui)).toBeNull();
  ui.set("range", [5, 25]);
  expect(marked(ui)).toEqual([10, 20]);
  ui.resetRange();
  expect(marked(ui)).toBeNull();
});
