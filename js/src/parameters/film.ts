/**
 * Snapshots as they are shown: unpacked in time, along one set of axes where there is one, with
 * the groups of tokens that the newest snapshot has, and the ways of followed tokens. Owns what is
 * unpacked when; knows neither stage nor controls.
 */

import type { Store } from "../store";
import type { Tensor } from "../tensor";
import { Bases, type Basis, mixes, seenIn, stepsIn } from "./basis";
import { cluster } from "./cluster";
import { CLUSTERS_KEY, type Groups, ownGroups, readGroups } from "./groups";
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
  #own: { count: number; groups: Groups; centres: Float64Array } | null = null;
  #told: { tensor: Tensor | undefined; groups: Groups | null } = {
    tensor: undefined,
    groups: null,
  };
  /** How many tokens there are. */
  #count = 0;
  readonly #store: Store;

  constructor(store: Store, changed: () => void) {
    this.#store = store;
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

  /** The groups of tokens that the frames have, or null: the kernel's, if it could find some. */
  get groups(): Groups | null {
    const { groups } = this.#told;
    if (this.#given) return groups;
    const own = this.#own?.groups ?? null;
    return own && groups?.absent ? { ...own, absent: groups.absent } : own;
  }

  get #given(): Groups | null {
    const { groups } = this.#told;
    return groups && groups.labels.length > 0 && groups.labels.length === this.#count
      ? groups
      : null;
  }

  /** Messages came. */
  refresh(): void {
    this.#bases.refresh();
    const tensor = this.#store.tensor(CLUSTERS_KEY);
    if (tensor !== this.#told.tensor) this.#told = { tensor, groups: readGroups(tensor) };
  }

  /** Another model, with so many tokens: nothing of the last one remains. */
  reset(tokens: number): void {
    this.#shown = null;
    this.#own = null;
    this.#count = tokens;
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
    const given = this.#given;
    const now = [basis, given, this.#own];
    if (now.some((v, i) => v !== this.#madeFor[i])) {
      this.#made = new WeakMap();
      this.#madeFor = now;
    }
    let made = this.#made.get(frame);
    if (!made) {
      made = seenIn(frame, basis);
      const labels = (given ?? this.#own?.groups)?.labels;
      if (!made.cluster && labels && labels.length * 3 === made.tokens?.length) {
        const nearest = given?.groups.map(({ tokens }) => tokens);
        const groups = nearest && { groups: { method: given!.method, nearest } };
        made = { ...made, cluster: labels, ...groups };
      }
      this.#made.set(frame, made);
    }
    return made;
  }

  /** Whether groups should be found anew: in the newest snapshot, which is to be unpacked for it. */
  #regroup(): boolean {
    const { steps } = this;
    if (steps.length === 0 || this.#given) return false;
    return !this.#own || steps.length - this.#own.count >= STALE;
  }

  /** Groups of the newest snapshot, for all: the groups of a random start would say nothing. */
  #group(): void {
    const { steps } = this;
    const step = steps[steps.length - 1];
    if (step === undefined || !this.#regroup()) return;
    const frame = this.snapshots.get(step);
    if (!frame?.tokens || frame.cluster) return;
    const { scale } = frame;
    const before = this.#own?.centres.map((v) => v / scale);
    const found = cluster(frame.tokens, undefined, before);
    const centres = found.centres.map((v) => v * scale);
    this.#own = { count: steps.length, groups: ownGroups(found, step), centres };
  }
}
