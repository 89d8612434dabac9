// @vitest-environment node
/** Camera, level of detail, clusters, neighbours, splats: what the flat stage reckons with. */

import { describe, expect, test } from "vitest";
import {
  axesOf,
  between,
  type Camera,
  eased,
  Flight,
  HOME,
  PLANES,
  shifted,
  zoomed,
} from "../../src/parameters/camera";
import {
  Clusterer,
  cluster,
  clusterCount,
  clusterNames,
  grouped,
} from "../../src/parameters/cluster";
import { Lod, levelAt, shuffledOrder } from "../../src/parameters/lod";
import { neighboursOf } from "../../src/parameters/neighbours";
import { placeOf, Splats, unitOf } from "../../src/parameters/splat";
import { metaOf, momentOf } from "./moments";

const BOX = { left: 0, top: 0, width: 200, height: 100 };

describe("camera", () => {
  test("its axes are at right angles and of length 1, wherever it looks", () => {
    for (const [yaw, pitch] of [
      [0, 0],
      [0.7, 0.4],
      [-2, -1.2],
    ] as const) {
      const m = axesOf({ yaw, pitch });
      for (let i = 0; i < 3; i++) {
        for (let j = 0; j < 3; j++) {
          const dot = [0, 1, 2].reduce((sum, k) => sum + m[3 * i + k]! * m[3 * j + k]!, 0);
          expect(dot).toBeCloseTo(i === j ? 1 : 0);
        }
      }
    }
  });

  test("each projection shows the two components of its name, across and up", () => {
    for (const [name, angles] of Object.entries(PLANES)) {
      const [across, up] = name.split("·").map((c) => Number(c) - 1);
      const m = axesOf(angles);
      expect(Math.abs(m[across!]!)).toBeCloseTo(1);
      expect(m[across!]!).toBeGreaterThan(0);
      expect(m[3 + up!]!).toBeCloseTo(1);
    }
  });

  test("what is under the pointer stays there when one zooms", () => {
    const camera: Camera = { ...HOME, centre: [0.1, -0.2, 0.3] };
    const point = [0.4, 0.5, -0.1] as const;
    const [x, y] = placeOf(point, camera, BOX);
    const unit = unitOf(camera, BOX);
    const nearer = zoomed(camera, 3, (x - 100) / unit, (50 - y) / unit);
    const after = placeOf(point, nearer, BOX);
    expect(after[0]).toBeCloseTo(x);
    expect(after[1]).toBeCloseTo(y);
    expect(zoomed(camera, 1e9).zoom).toBe(40);
  });

  test("shifting moves the picture the other way", () => {
    const [x] = placeOf([0, 0, 0], HOME, BOX);
    const [moved] = placeOf([0, 0, 0], shifted(HOME, 0.5, 0), BOX);
    expect(moved - x).toBeCloseTo(-0.5 * unitOf(HOME, BOX));
  });

  test("a flight eases from one end to the other, the short way round; without motion it is there at once", () => {
    expect([eased(-1), eased(0), eased(0.5), eased(1), eased(2)]).toEqual([0, 0, 0.5, 1, 1]);
    const to: Camera = { ...HOME, yaw: HOME.yaw + 2 * Math.PI + 0.1, zoom: 16 };
    expect(between(HOME, to, 0.5).yaw).toBeCloseTo(HOME.yaw + 0.05);
    expect(between(HOME, to, 0.5).zoom).toBeCloseTo(4);
    const flight = new Flight(HOME, to, between, 700, false);
    expect(flight.at(1000)).toEqual({ ...HOME });
    expect(flight.over(1000)).toBe(false);
    expect(flight.at(1350).zoom).toBeCloseTo(4);
    expect(flight.at(1700)).toBe(to);
    expect(flight.over(1700)).toBe(true);
    expect(new Flight(HOME, to, between, 700, true).at(0)).toBe(to);
  });
});

describe("level of detail", () => {
  test("by distance", () => {
    expect([0.2, 0.5, 1, 8].map(levelAt)).toEqual([1_000, 5_000, 10_000, 10_000]);
  });

  test("slow frames bring it down, quick ones up again, and going up and down gets rarer", () => {
    const lod = new Lod();
    const many = (n: number, interval: number, work: number) => {
      for (let i = 0; i < n; i++) lod.note(interval, work);
    };
    many(5, 60, 40);
    expect(lod.level(1)).toBe(10_000);
    many(1, 60, 40);
    expect(lod.level(1)).toBe(5_000);
    expect(lod.slowed).toBe(true);
    many(6, 60, 40);
    expect(lod.level(1)).toBe(1_000);
    many(20, 60, 40);
    expect(lod.level(1)).toBe(1_000);
    many(90, 16, 3);
    expect(lod.level(1)).toBe(5_000);
    many(6, 60, 40);
    expect(lod.level(1)).toBe(1_000);
    many(90, 16, 3);
    expect(lod.level(1)).toBe(1_000);
    many(90, 16, 3);
    expect(lod.level(1)).toBe(5_000);
  });

  test("neither pauses nor somebody else's slowness count", () => {
    const lod = new Lod();
    for (let i = 0; i < 50; i++) lod.note(5000, 3);
    for (let i = 0; i < 50; i++) lod.note(90, 2);
    expect(lod.level(1)).toBe(10_000);
  });

  test("fewer points are some of the more, each once", () => {
    const order = shuffledOrder(500);
    expect(new Set(order).size).toBe(500);
    expect(shuffledOrder(500)).toEqual(order);
    expect([...order.slice(0, 50)].some((v) => v > 400)).toBe(true);
  });
});

describe("clusters", () => {
  const places = [
    [100, 0, 0],
    [-100, 50, 0],
    [0, -100, 80],
  ];
  const points = Int16Array.from({ length: 300 }, (_, i) => {
    const point = Math.floor(i / 3);
    return places[point % 3]![i % 3]! + ((point * 7 + i * 3) % 9) - 4;
  });

  test("k follows the rule that is told", () => {
    expect([1, 50, 200, 800, 5_000, 50_000].map(clusterCount)).toEqual([1, 2, 3, 6, 8, 8]);
  });

  test("groups that lie apart are found, and named by the tokens in their middle", () => {
    const found = cluster(points, 3);
    for (let i = 0; i < 100; i++) expect(found.labels[i]).toBe(found.labels[i % 3]);
    expect(new Set(found.labels).size).toBe(3);
    expect([...found.counts].sort()).toEqual([33, 33, 34]);
    const names = clusterNames(
      found,
      Array.from({ length: 100 }, (_, i) => `${i % 3}`),
    );
    expect([...names].sort()).toEqual(["0 · 0 · 0", "1 · 1 · 1", "2 · 2 · 2"]);
  });

  test("each point is with its nearest centre, and each centre is the mean of its points", () => {
    const { labels, centres } = cluster(points, 3);
    for (let c = 0; c < 3; c++) {
      const own = [...labels.keys()].filter((i) => labels[i] === c);
      for (let d = 0; d < 3; d++) {
        const mean = own.reduce((sum, i) => sum + points[3 * i + d]!, 0) / own.length;
        expect(centres[3 * c + d]).toBeCloseTo(mean);
      }
    }
    for (let i = 0; i < 100; i++) {
      const gaps = [0, 1, 2].map((c) =>
        Math.hypot(...[0, 1, 2].map((d) => points[3 * i + d]! - centres[3 * c + d]!)),
      );
      expect(gaps.indexOf(Math.min(...gaps))).toBe(labels[i]);
    }
  });

  test("centres from before keep their numbers; a point set of one place is one cluster", () => {
    const first = cluster(points, 3);
    const swapped = Float64Array.from([3, 4, 5, 0, 1, 2, 6, 7, 8], (k) => first.centres[k]!);
    expect(cluster(points, 3, swapped).labels[0]).not.toBe(first.labels[0]);
    expect(cluster(points, 3, first.centres).labels).toEqual(first.labels);
    expect(cluster(new Int16Array(30), 2).counts[0]).toBe(10);
    expect(cluster(new Int16Array(0)).labels.length).toBe(0);
  });

  test("a moment's are found once, and labels that it brings are taken as they are", () => {
    const moment = momentOf(metaOf(60, 1), 1);
    const clusterer = new Clusterer();
    expect(clusterer.of(moment)).toBe(clusterer.of(moment));
    const labels = Uint8Array.from({ length: 60 }, (_, i) => i % 4);
    const own = clusterer.of({ ...moment, cluster: labels })!;
    expect(own.labels).toBe(labels);
    expect([...own.counts]).toEqual([15, 15, 15, 15]);
    expect(grouped(new Int16Array(0), new Uint8Array(0)).nearest).toEqual([]);
    expect(clusterer.of({ ...moment, tokens: null })).toBeNull();
  });
});

describe("neighbours", () => {
  test("by cosine, the greatest first, without itself and without a direction", () => {
    const points = Int16Array.of(10, 0, 0, 100, 1, 0, 0, 5, 0, -3, 0, 0, 0, 0, 0, 7, 7, 0);
    const found = neighboursOf(points, 0, 3);
    expect(found.map(({ index }) => index)).toEqual([1, 5, 2]);
    expect(found[1]!.cosine).toBeCloseTo(Math.SQRT1_2);
    expect(neighboursOf(points, 4)).toEqual([]);
    expect(neighboursOf(points, 99)).toEqual([]);
  });

  test("agrees with sorting all cosines", () => {
    const { tokens } = momentOf(metaOf(200, 0), 3);
    const at = (i: number) => [0, 1, 2].map((d) => tokens![3 * i + d]!);
    const cosine = (i: number) => {
      const [p, q] = [at(17), at(i)];
      return p.reduce((sum, v, d) => sum + v * q[d]!, 0) / (Math.hypot(...p) * Math.hypot(...q));
    };
    const all = Array.from({ length: 200 }, (_, i) => i).filter((i) => i !== 17);
    all.sort((a, b) => cosine(b) - cosine(a));
    expect(neighboursOf(tokens!, 17, 8).map(({ index }) => index)).toEqual(all.slice(0, 8));
  });
});

describe("splats", () => {
  const view = { camera: { ...HOME, yaw: 0, pitch: 0 }, radius: 2, box: BOX };

  test("are where the camera says, halfway between two moments", () => {
    const splats = new Splats();
    const a = { points: Int16Array.of(0, 0, 0, 100, 50, 20), scale: 0.01 };
    const b = { points: Int16Array.of(200, 0, 0, 100, 50, 20), scale: 0.02 };
    splats.project(a, b, 0.5, view);
    for (const [i, point] of [
      [0, [2 / 2, 0, 0]],
      [1, [1.5 / 2, 0.75 / 2, 0.3 / 2]],
    ] as const) {
      const [x, y] = placeOf(point as [number, number, number], view.camera, BOX);
      expect(splats.x[i]).toBeCloseTo(x, 3);
      expect(splats.y[i]).toBeCloseTo(y, 3);
    }
    expect(splats.depth[1]).toBeCloseTo(0.15);
    expect(splats.nearest(splats.x[1]! + 2, splats.y[1]!, 5, Uint32Array.of(0, 1))).toBe(1);
    expect(splats.nearest(2, 2, 5, Uint32Array.of(0, 1))).toBeNull();
    expect(splats.nearest(splats.x[1]!, splats.y[1]!, 5, Uint32Array.of(0))).toBeNull();
  });

  test("of two in one place the nearer is seen, whatever their order, and nothing is drawn outside", () => {
    const pixels = { words: new Uint32Array(200 * 100).fill(0xff000000), width: 200, height: 100 };
    const splats = new Splats();
    const pair = {
      points: Int16Array.of(0, 0, 90, 0, 0, -90, 3000, 3000, 0, 218, 0, 0),
      scale: 0.01,
    };
    splats.project(pair, pair, 0, view);
    const colours = Uint32Array.of(0xff0000ff, 0xff00ff00, 0xffffffff, 0xffff0000);
    const radii = new Uint8Array(4).fill(12);
    for (const order of [Uint32Array.of(0, 1, 2, 3), Uint32Array.of(3, 2, 1, 0)]) {
      splats.paint(pixels, BOX, order, radii, colours, 0xff000000);
      expect(pixels.words[50 * 200 + 100]).toBe(0xff0000ff);
    }
    expect(pixels.words.includes(0xffffffff)).toBe(false);
    // The one whose middle is outside at the right is cut, not wrapped around to the left.
    const row = pixels.words.subarray(50 * 200, 51 * 200);
    expect([...row.subarray(0, 20)].every((v) => v === 0xff000000)).toBe(true);
  });
});
