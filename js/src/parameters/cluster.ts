/**
 * Clusters of the points in view: k-means on the three coordinates (Lloyd's algorithm with
 * k-means++ starts), named by the tokens nearest their centres. What it finds are groups of this
 * 3-D view; in the full width of the embedding they may be others. Pure.
 */

import { clamp } from "../scale";
import { generator } from "./lod";
import type { Moment } from "./stage";

export interface Clusters {
  /** Cluster of each point. */
  readonly labels: Uint8Array;
  /** (k, 3), in the units of the points given. */
  readonly centres: Float64Array;
  readonly counts: Uint32Array;
  /** Indices of the points nearest to each centre, nearest first. */
  readonly nearest: readonly (readonly number[])[];
}

const ROUNDS = 25;
const NAMES = 3;
/** Most clusters: as many as the palette has hues to tell apart. */
export const MOST_CLUSTERS = 8;

/** How many clusters to look for among n points: √(n/20), at least 2 and at most 8. */
export function clusterCount(n: number): number {
  return Math.min(n, clamp(Math.round(Math.sqrt(n / 20)), 2, MOST_CLUSTERS));
}

/**
 * Cluster `points`, xyz after xyz. `start`, the centres found before, keeps the numbers of
 * clusters from one moment to the next.
 */
export function cluster(
  points: ArrayLike<number>,
  k = clusterCount(points.length / 3),
  start?: Float64Array,
): Clusters {
  const n = Math.floor(points.length / 3);
  const centres = start?.length === k * 3 ? Float64Array.from(start) : seeds(points, n, k);
  const labels = new Uint8Array(n);
  const counts = new Uint32Array(k);
  for (let round = 0; round < ROUNDS; round++) {
    const changed = assign(points, n, centres, labels);
    if (round > 0 && changed === 0) break;
    average(points, n, centres, labels, counts);
  }
  counts.fill(0);
  for (let i = 0; i < n; i++) counts[labels[i]!]!++;
  return { labels, centres, counts, nearest: nearest(points, n, centres, labels, k) };
}

/** Clusters of moments, each found once; those found before give the next its starts. */
export class Clusterer {
  #found = new WeakMap<Moment, Clusters>();
  #start: Float64Array | undefined;

  /** The clusters of a moment's tokens, or null where it has none. */
  of(moment: Moment): Clusters | null {
    if (!moment.tokens) return null;
    const known = this.#found.get(moment);
    if (known) return known;
    const { tokens, scale } = moment;
    const found = moment.cluster
      ? named(grouped(tokens, moment.cluster), moment)
      : cluster(
          tokens,
          undefined,
          this.#start?.map((v) => v / scale),
        );
    this.#start = found.centres.map((v) => v * scale);
    this.#found.set(moment, found);
    return found;
  }
}

/** What is said of how the clusters of a moment were found. */
export function clusterTitle({ groups }: Moment): string {
  return `clusters: ${groups?.method ?? "k-means of this 3-D view"}`;
}

/** Named by the tokens that are nearest in full width, where those are known. */
function named(found: Clusters, { groups }: Moment): Clusters {
  if (!groups) return found;
  const nearest = found.nearest.map((own, c) => groups.nearest[c]?.slice(0, NAMES) ?? own);
  return { ...found, nearest };
}

/** What labels that were found elsewhere say of the points. */
export function grouped(points: ArrayLike<number>, labels: Uint8Array): Clusters {
  const n = Math.min(labels.length, Math.floor(points.length / 3));
  let k = 0;
  for (let i = 0; i < n; i++) k = Math.max(k, labels[i]! + 1);
  const centres = new Float64Array(3 * k);
  const counts = new Uint32Array(k);
  average(points, n, centres, labels, counts);
  return { labels, centres, counts, nearest: nearest(points, n, centres, labels, k) };
}

/** The names of the clusters: the tokens nearest to each centre. */
export function clusterNames(found: Clusters, texts: readonly string[]): string[] {
  return found.nearest.map((all) => all.map((i) => texts[i] ?? String(i)).join(" · "));
}

function gap(points: ArrayLike<number>, i: number, centres: Float64Array, c: number): number {
  const dx = points[3 * i]! - centres[3 * c]!;
  const dy = points[3 * i + 1]! - centres[3 * c + 1]!;
  const dz = points[3 * i + 2]! - centres[3 * c + 2]!;
  return dx * dx + dy * dy + dz * dz;
}

/** k-means++ (Arthur and Vassilvitskii 2007): each start is likelier the farther it is from all others. */
function seeds(points: ArrayLike<number>, n: number, k: number): Float64Array {
  const random = generator(7);
  const centres = new Float64Array(3 * k);
  const far = new Float64Array(n).fill(Number.POSITIVE_INFINITY);
  let at = Math.floor(random() * n);
  for (let c = 0; c < k; c++) {
    for (let d = 0; d < 3; d++) centres[3 * c + d] = points[3 * at + d] ?? 0;
    let sum = 0;
    for (let i = 0; i < n; i++) {
      far[i] = Math.min(far[i]!, gap(points, i, centres, c));
      sum += far[i]!;
    }
    let rest = random() * sum;
    at = 0;
    while (at < n - 1 && rest > far[at]!) rest -= far[at++]!;
  }
  return centres;
}

/** Put each point with its nearest centre; how many have changed. */
function assign(
  points: ArrayLike<number>,
  n: number,
  centres: Float64Array,
  labels: Uint8Array,
): number {
  const k = centres.length / 3;
  let changed = 0;
  for (let i = 0; i < n; i++) {
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let c = 0; c < k; c++) {
      const d = gap(points, i, centres, c);
      if (d < least) {
        least = d;
        best = c;
      }
    }
    if (labels[i] !== best) changed++;
    labels[i] = best;
  }
  return changed;
}

/** Move each centre to the middle of its points; one without points stays where it is. */
function average(
  points: ArrayLike<number>,
  n: number,
  centres: Float64Array,
  labels: Uint8Array,
  counts: Uint32Array,
): void {
  const sums = new Float64Array(centres.length);
  counts.fill(0);
  for (let i = 0; i < n; i++) {
    const c = labels[i]!;
    counts[c]!++;
    for (let d = 0; d < 3; d++) sums[3 * c + d]! += points[3 * i + d]!;
  }
  for (let c = 0; c < counts.length; c++) {
    if (counts[c] === 0) continue;
    for (let d = 0; d < 3; d++) centres[3 * c + d] = sums[3 * c + d]! / counts[c]!;
  }
}

function nearest(
  points: ArrayLike<number>,
  n: number,
  centres: Float64Array,
  labels: Uint8Array,
  k: number,
): number[][] {
  const found: { index: number; distance: number }[][] = Array.from({ length: k }, () => []);
  for (let i = 0; i < n; i++) {
    const list = found[labels[i]!]!;
    const distance = gap(points, i, centres, labels[i]!);
    if (list.length === NAMES && distance >= list[NAMES - 1]!.distance) continue;
    list.push({ index: i, distance });
    list.sort((a, b) => a.distance - b.distance);
    list.length = Math.min(list.length, NAMES);
  }
  return found.map((list) => list.map(({ index }) => index));
}
