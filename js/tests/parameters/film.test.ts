// @vitest-environment node
/** What is unpacked when, and what the frames are that a stage is given. */

import { expect, test, vi } from "vitest";
import { Film } from "../../src/parameters/film";
import { FakeLive } from "../live";
import { blob, feed } from "./samples";

const STEPS = [0, 10, 20, 30];
const span = (a: number, b = a, t = 0) => ({ a, b, t });

async function shot(film: Film, at: ReturnType<typeof span>) {
  const steps = film.steps;
  return vi.waitFor(
    () => {
      const found = film.shot(at, false);
      expect(found?.a.step).toBe(steps[at.a]);
      expect(film.groupedAt).toBe(steps[steps.length - 1]);
      return found!;
    },
    { timeout: 8000 },
  );
}

test("the same snapshot is the same frame, with the groups of the newest", async () => {
  const live = new FakeLive();
  feed(live, STEPS);
  const film = new Film(live.store, () => {});
  expect(film.shot(span(1), false)).toBeNull();
  const first = await shot(film, span(1));
  expect(film.shot(span(1), false)?.a).toBe(first.a);
  expect(first.a.cluster).toHaveLength(4);
  const other = await shot(film, span(0));
  expect(other.a.cluster).toBe(first.a.cluster);
});

test("what is not unpacked yet leaves the last picture", async () => {
  const live = new FakeLive();
  feed(live, STEPS);
  const film = new Film(live.store, () => {});
  const first = await shot(film, span(3));
  expect(film.shot(span(0), false)).toBe(first);
  await shot(film, span(0));
  film.reset();
  expect(film.shown).toBeNull();
});

test("frames along one set of axes, between two only if both have it", async () => {
  const live = new FakeLive();
  feed(live, STEPS);
  const film = new Film(live.store, () => {});
  const parts = Object.fromEntries(
    [0, 10, 20].map((s) => [`view/${s}`, { values: new Int16Array(12).fill(s) }]),
  );
  const meta = { chunk: 0, chunks: 1, basis_step: 20, explained: [0.7], estimate: false };
  live.put("parameters/view/0", meta, blob(20, parts), undefined, 20);
  film.refresh();
  await vi.waitFor(() => expect(film.basis?.step).toBe(20), { timeout: 8000 });
  const both = await shot(film, span(0, 1, 0.5));
  await vi.waitFor(() => expect(film.shot(span(0, 1, 0.5), false)?.t).toBe(0.5), { timeout: 8000 });
  expect([both.a.basis, both.a.tokens?.[0]]).toEqual([20, 0]);
  // Newer ones were turned to it: they go on from there.
  await shot(film, span(2, 3, 0.5));
  await vi.waitFor(() => expect(film.shot(span(2, 3, 0.5), false)?.t).toBe(0.5), { timeout: 8000 });
  film.fixed = false;
  expect(film.shot(span(2, 3, 0.5), false)).toMatchObject({ t: 0.5, a: { basis: null } });
});

test("of snapshots that the axes leave out, none is shown along them", async () => {
  const live = new FakeLive();
  feed(live, [0, 5, 10, 15, 20, 25]);
  const film = new Film(live.store, () => {});
  const parts = Object.fromEntries(
    [0, 10, 20].map((s) => [`view/${s}`, { values: new Int16Array(12).fill(s) }]),
  );
  const meta = { chunk: 0, chunks: 1, basis_step: 20, explained: [0.7], estimate: true };
  live.put("parameters/view/0", meta, blob(20, parts), undefined, 20);
  film.refresh();
  await vi.waitFor(() => expect(film.basis?.step).toBe(20), { timeout: 8000 });
  expect(film.steps).toEqual([0, 10, 20, 25]);
  expect(film.steps).toBe(film.steps);
  film.fixed = false;
  expect(film.steps).toHaveLength(6);
});
