// @vitest-environment node
/** What is unpacked when, and what the frames are that a stage is given. */

import { expect, test, vi } from "vitest";
import { Clusterer, clusterTitle } from "../../src/parameters/cluster";
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
      expect(film.groups).not.toBeNull();
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
  film.reset(4);
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

test("groups that the kernel found come before the page's own, if they are of these tokens", async () => {
  const live = new FakeLive();
  feed(live, STEPS);
  const film = new Film(live.store, () => {});
  film.reset(4);
  const say = (said: object) => {
    const text = Uint8Array.from(Buffer.from(JSON.stringify(said)));
    live.put("parameters/clusters", {}, text, undefined, 30);
    film.refresh();
  };
  say({ step: 30, labels: [], clusters: [], absent: "scikit-learn is not installed" });
  const own = await shot(film, span(1));
  expect(film.groups).toMatchObject({ step: 30, absent: "scikit-learn is not installed" });
  expect(film.groups?.method).toContain("3-D view");
  const clusters = [1, 0].map((label) => ({ label, size: 2, tokens: [label, label + 2] }));
  say({ step: 20, method: "k-means in 32 dimensions", labels: [0, 1, 0, 1], clusters });
  const given = await shot(film, span(1));
  expect([...given.a.cluster!]).toEqual([0, 1, 0, 1]);
  expect(given.a).not.toBe(own.a);
  expect(clusterTitle(given.a)).toBe("clusters: k-means in 32 dimensions");
  expect(new Clusterer().of(given.a)?.nearest).toEqual([
    [0, 2],
    [1, 3],
  ]);
  expect(film.groups?.groups[1]).toEqual({ size: 2, tokens: [1, 3] });
  // Of another sample of tokens.
  say({ step: 20, method: "k-means", labels: [0, 1], clusters });
  expect([...(await shot(film, span(1))).a.cluster!]).toEqual([...own.a.cluster!]);
  live.put("parameters/clusters", {}, Uint8Array.of(1, 2), undefined, 40);
  film.refresh();
  expect(film.groups?.absent).toBe("");
});
