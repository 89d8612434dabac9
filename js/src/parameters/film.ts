/**
 * Snapshots as they are shown: unpacked in time, along one set of axes where there is one, with
 * the groups of tokens that the newest snapshot has, and the ways of followed tokens. Owns what is
 * unpacked when; knows neither stage nor controls.
 */

import type { Store } from "../store";
import { Bases, type Basis, mixes, seenIn, stepsIn } from "./basis";
import { cluster } from "./cluster";
import type { Span } from "./player";
import { type Frame, Snapshots } from "./reel";
import { Trails } from "./search";

/** Snapshots that are unpacked before they are reached. */
const AHEAD = 8;
/** New snapshots after which groups are found anew. */
const STALE = 10;

export interface Shot {
  a: Frame;
  b: Frame;
  t: number;
}

export class Film {
  readonly snapshots: Snapshots;
  readonly trails = new Trails();
  /** Whether to show all snapshots along the axes of the newest, where the kernel sent them so. */
  fixed = true;
  readonly #bases: Bases;
  #shown: Shot | null = null;
  /** Frames as they are shown, by the frames they are made of: a stage knows a frame by its object. */
  #made = new WeakMap<Frame, Frame>();
  #along: [steps: readonly number[], of: readonly number[], along: Basis | null] = [[], [], null];
  #madeFor: readonly unknown[] = [];
  #groups: { step: number; count: number; labels: Uint8Array; centres: Float64Array } | null = null;

  constructor(store: Store, changed: () => void) {
    this.snapshots = new Snapshots(store, changed);
    this.#bases = new Bases(store, changed);
  }

  /** Steps of the snapshots that are shown, in order. */
  get steps(): readonly number[] {
    const all = this.snapshots.steps;
    const basis = this.fixed ? this.basis : null;
    if (!basis) return all;
    const [steps, of, along] = this.#along;
    if (of === all && along === basis) return steps;
    this.#along = [stepsIn(all, basis), all, basis];
    return this.#along[0];
  }

  /** All snapshots along one set of axes, or null as long as there is none. */
  get basis(): Basis | null {
    return this.#bases.basis;
  }

  /** Whether there is no set of axes for all yet, or an older one. */
  get stale(): boolean {
    const all = this.snapshots.steps;
    return !this.basis || this.basis.step < (all[all.length - 1] ?? 0);
  }

  /** What was shown last. */
  get shown(): Shot | null {
    return this.#shown;
  }

  /** Step whose groups of tokens the frames have, or null. */
  get groupedAt(): number | null {
    return this.#groups?.step ?? null;
  }

  /** Messages came. */
  refresh(): void {
    this.#bases.refresh();
  }

  /** Another model: nothing of the last one remains. */
  reset(): void {
    this.#shown = null;
    this.#groups = null;
    this.trails.follow([]);
  }

  /** The frames that playback is between; the last ones while those are being unpacked. */
  shot({ a, b, t }: Span, moving: boolean): Shot | null {
    const { steps } = this;
    this.#group();
    for (const step of this.trails.missing(steps)) {
      const frame = this.#frame(step);
      if (frame) this.trails.note(frame);
    }
    const ahead = moving ? steps.slice(b + 1, b + 1 + AHEAD) : [];
    const rest = this.trails.missing(steps).slice(0, 1);
    const wanted = [
      steps[a],
      steps[b],
      ...ahead,
      ...(this.#regroup() ? steps.slice(-1) : []),
      ...rest,
    ];
    this.snapshots.want(wanted.filter((step) => step !== undefined));
    const [from, to] = [this.#frame(steps[a]), this.#frame(steps[b])];
    if (from && to) {
      const together = mixes(from, to, this.fixed ? this.basis : null);
      this.#shown = together ? { a: from, b: to, t } : { a: from, b: from, t: 0 };
    } else if (from) this.#shown = { a: from, b: from, t: 0 };
    else if (steps.length === 0) this.#shown = null;
    return this.#shown;
  }

  #frame(step: number | undefined): Frame | null {
    const frame = step === undefined ? null : this.snapshots.get(step);
    if (!frame) return null;
    const basis = this.fixed ? this.basis : null;
    const now = [basis, this.#groups];
    if (now.some((v, i) => v !== this.#madeFor[i])) {
      this.#made = new WeakMap();
      this.#madeFor = now;
    }
    let made = this.#made.get(frame);
    if (!made) {
      made = seenIn(frame, basis);
      const labels = this.#groups?.labels;
      if (!made.cluster && labels && labels.length * 3 === made.tokens?.length) {
        made = { ...made, cluster: labels };
      }
      this.#made.set(frame, made);
    }
    return made;
  }

  /** Whether groups should be found anew: in the newest snapshot, which is to be unpacked for it. */
  #regroup(): boolean {
    const { steps } = this;
    return steps.length > 0 && (!this.#groups || steps.length - this.#groups.count >= STALE);
  }

  /** Groups of the newest snapshot, for all: the groups of a random start would say nothing. */
  #group(): void {
    const { steps } = this;
    const step = steps[steps.length - 1];
    if (step === undefined || !this.#regroup()) return;
    const frame = this.snapshots.get(step);
    if (!frame?.tokens || frame.cluster) return;
    const { scale } = frame;
    const before = this.#groups?.centres.map((v) => v / scale);
    const { labels, centres } = cluster(frame.tokens, undefined, before);
    const kept = centres.map((v) => v * scale);
    this.#groups = { step, count: steps.length, labels, centres: kept };
  }
}
