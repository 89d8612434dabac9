// @vitest-environment node
/** Playback: time in, a place between two snapshots out. */

import { describe, expect, test, vi } from "vitest";
import { indexAt, Player, stepAt } from "../../src/parameters/player";

const STEPS = [0, 1, 2, 3, 10, 20, 100];

function player(steps: readonly number[] = STEPS, smooth = true) {
  const changed = vi.fn();
  const p = new Player(changed, smooth);
  p.setSteps(steps);
  return { p, changed };
}

describe("steps and places", () => {
  test("there and back", () => {
    for (const index of [0, 0.5, 3, 3.25, 5.9, 6]) {
      expect(indexAt(STEPS, stepAt(STEPS, index))).toBeCloseTo(index, 9);
    }
    expect([indexAt(STEPS, -5), indexAt(STEPS, 1000), indexAt([], 3)]).toEqual([0, 6, 0]);
    expect([stepAt(STEPS, -1), stepAt(STEPS, 99), stepAt([], 2)]).toEqual([0, 100, 0]);
  });
});

describe("playing", () => {
  test("starts over from the end, and stops there", () => {
    const { p } = player();
    expect([p.step, p.following]).toEqual([100, true]);
    p.play();
    expect([p.step, p.playing, p.following]).toEqual([0, true, false]);
    p.tick(350);
    expect(p.span).toEqual({ a: 3, b: 4, t: 0.5 });
    p.tick(10_000);
    expect([p.step, p.playing]).toEqual([100, false]);
  });

  test("goes by snapshots a second, however far apart they are", () => {
    const { p } = player();
    p.set({ speed: 2 });
    p.play();
    p.tick(1000);
    expect(p.index).toBeCloseTo(2);
    p.tick(1500);
    expect(p.index).toBeCloseTo(5);
    expect(p.step).toBeCloseTo(20);
  });

  test("loops", () => {
    const { p } = player();
    p.set({ loop: true });
    p.play();
    p.tick(650);
    expect(p.playing).toBe(true);
    expect(p.index).toBeCloseTo(0.5);
  });

  test("without interpolation it shows whole snapshots only", () => {
    const { p } = player(STEPS, false);
    p.play();
    p.tick(350);
    expect(p.span).toEqual({ a: 3, b: 3, t: 0 });
  });

  test("a tick while it stands still changes nothing", () => {
    const { p, changed } = player();
    changed.mockClear();
    p.tick(1000);
    expect(changed).not.toHaveBeenCalled();
  });

  test("nothing to play with fewer than two", () => {
    const { p } = player([5]);
    p.play();
    expect([p.playing, p.span]).toEqual([false, { a: 0, b: 0, t: 0 }]);
    expect(player([]).p.span).toEqual({ a: 0, b: 0, t: 0 });
  });
});

describe("going to a place", () => {
  test("by step, within what there is, and no longer following", () => {
    const { p } = player();
    p.seek(12);
    expect([p.step, p.span.a, p.following]).toEqual([12, 4, false]);
    expect(p.span.t).toBeCloseTo(0.2);
    p.seek(1e9);
    expect(p.step).toBe(100);
    p.seek(Number.NaN);
    expect(p.step).toBe(100);
  });

  test("to the next and the one before, from between two", () => {
    const { p } = player();
    p.seek(5);
    p.nudge(1);
    expect(p.step).toBe(10);
    p.seek(5);
    p.nudge(-1);
    expect(p.step).toBe(3);
    p.nudge(-99);
    expect(p.step).toBe(0);
  });

  test("while playing it plays on from there", () => {
    const { p } = player();
    p.play();
    p.seek(10);
    p.tick(100);
    expect(p.playing).toBe(true);
    expect(p.index).toBeCloseTo(5);
  });
});

describe("snapshots that come", () => {
  test("are followed, smoothly", () => {
    const { p } = player();
    p.setSteps([...STEPS, 200]);
    expect([p.moving, p.step]).toEqual([true, 100]);
    p.tick(175);
    expect(p.span).toMatchObject({ a: 6, b: 7 });
    p.tick(1000);
    expect([p.step, p.moving, p.following]).toEqual([200, false, true]);
  });

  test("are jumped to when there are many, or motion is not wanted", () => {
    const many = player();
    many.p.setSteps([...STEPS, 200, 300, 400, 500]);
    expect(many.p.step).toBe(500);
    const calm = player(STEPS, false);
    calm.p.setSteps([...STEPS, 200]);
    expect(calm.p.step).toBe(200);
  });

  test("between others or thinned do not move the place", () => {
    const { p } = player();
    p.seek(10);
    p.setSteps([0, 5, 10, 15, 100]);
    expect([p.step, p.index]).toEqual([10, 2]);
    p.setSteps([0, 100]);
    expect([p.step, p.index]).toEqual([10, 0.1]);
  });

  test("a run that starts over", () => {
    const { p } = player();
    p.play();
    p.setSteps([]);
    expect([p.playing, p.moving]).toEqual([false, false]);
    p.follow();
    p.setSteps([4]);
    expect(p.step).toBe(4);
  });
});
