// @vitest-environment node
/** The learning aids: everything is explained, and the tour goes where the model has something to show. */

import { describe, expect, test } from "vitest";
import { explain, KINDS, PHASES, STATISTICS, spelled } from "../../src/parameters/explain";
import {
  IDLE,
  stopAt,
  stopsOf,
  type TourState,
  toured,
  visibleAt,
} from "../../src/parameters/tour";
import { matrixOf, metaOf } from "./moments";

test("each text is whole, and short enough to be read on hover", () => {
  for (const one of [KINDS, STATISTICS, PHASES].flatMap((all) => Object.values(all))) {
    for (const text of [one.text, one.healthy, one.unhealthy]) {
      expect(text.length).toBeGreaterThan(10);
      expect(text.length).toBeLessThan(330);
      expect(text).toMatch(/[.:]$/);
    }
    expect(spelled(one)).toContain("Unhealthy: ");
  }
});

test("a name from the kernel finds its text, an unknown one none", () => {
  expect(explain("kind", "attention")).toBe(KINDS.attention);
  expect(explain("statistic", "change_l2")?.title).toContain("Change");
  expect(explain("phase", "rapid learning")).toBe(PHASES["rapid learning"]);
  expect(explain("kind", "toString")).toBeNull();
});

describe("tour", () => {
  const full = metaOf(20, 4);

  test("from the start over embeddings, attention and MLP to the phases", () => {
    const stops = stopsOf(full, 10);
    expect(stops.map(({ id }) => id)).toEqual([
      "start",
      "embeddings",
      "positions",
      "attention",
      "mlp",
      "phases",
    ]);
    expect(stops[1]!.fly).toEqual({ token: 2 });
    expect(stops[3]!.fly).toEqual({ layer: 0 });
    expect(stops[4]!.fly).toEqual({ layer: 2 });
    expect(stops[5]).toMatchObject({ moment: 0, play: true });
    expect([...visibleAt(stops[3]!, full)]).toEqual([1, 3, 5, 7]);
    expect(visibleAt(stops[0]!, full).size).toBe(full.matrices.length);
  });

  test("what a model lacks is left out, and without snapshots nothing is played", () => {
    const bare = { ...metaOf(0, 0), tokens: null, positions: null, matrices: [] };
    const stops = stopsOf(bare, 1);
    expect(stops.map(({ id }) => id)).toEqual(["start", "phases"]);
    expect(stops[1]).toMatchObject({ moment: null, play: false });
    const adapted = { ...full, matrices: [...full.matrices, matrixOf(99, 0, "lora", "A")] };
    expect(stopsOf(adapted, 5).map(({ id }) => id)).toContain("adapters");
    const experts = { ...bare, matrices: [matrixOf(0, 1, "expert", "up")] };
    expect(stopsOf(experts, 5).find(({ id }) => id === "mlp")?.fly).toEqual({ layer: 1 });
  });

  test("forth, back, to the end, and away from anywhere", () => {
    const stops = stopsOf(full, 10);
    const go = (from: TourState, ...actions: Parameters<typeof toured>[1][]) =>
      actions.reduce((state, action) => toured(state, action, stops.length), from);
    expect(go(IDLE, "next")).toBe(IDLE);
    expect(stopAt(go(IDLE, "begin"), stops)?.id).toBe("start");
    expect(stopAt(go(IDLE, "begin", "next", "next", "back"), stops)?.id).toBe("embeddings");
    expect(stopAt(go(IDLE, "begin", "back"), stops)?.id).toBe("start");
    const end = go(IDLE, "begin", ...stops.map(() => "next" as const));
    expect(end).toEqual({ name: "done" });
    expect(stopAt(end, stops)).toBeNull();
    expect(go(end, "next")).toBe(end);
    expect(go(end, "leave")).toBe(IDLE);
    expect(toured(IDLE, "begin", 0)).toEqual({ name: "done" });
    expect(stopAt({ name: "at", index: 99 }, stops)).toBeNull();
  });
});
