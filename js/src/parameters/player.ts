/**
 * Where playback is, and how it goes on: a place between two snapshots, a speed, a direction to
 * go. Time comes from outside (`tick`), steps too; draws nothing and knows no message.
 *
 * The place is kept as a step, so that snapshots that come or go do not move it. It moves by
 * snapshots, not by steps: they are dense where much happens.
 */

import { clamp } from "../scale";

/** Snapshots per second. */
export const SPEEDS = [1, 2, 5, 10, 20, 50] as const;
/** How long the way to a new snapshot takes, when following. */
const GLIDE_MS = 350;
/** Snapshots behind from which there is no way to go, but a jump. */
const FAR = 3;

/** Between which two snapshots, and how far, 0 to 1; indices into `steps`. */
export interface Span {
  a: number;
  b: number;
  t: number;
}

export class Player {
  #steps: readonly number[] = [];
  #at = 0;
  #playing = false;
  #following = true;
  #speed: number = 10;
  #loop = false;
  #smooth: boolean;
  readonly #changed: () => void;

  /** `smooth`: whether to show what lies between snapshots, interpolated. */
  constructor(changed: () => void, smooth = true) {
    this.#changed = changed;
    this.#smooth = smooth;
  }

  get steps(): readonly number[] {
    return this.#steps;
  }

  /** The place, in optimiser steps; between snapshots it is no whole number. */
  get step(): number {
    return this.#at;
  }

  get playing(): boolean {
    return this.#playing;
  }

  /** Whether it stays with the newest snapshot. */
  get following(): boolean {
    return this.#following;
  }

  get speed(): number {
    return this.#speed;
  }

  get loop(): boolean {
    return this.#loop;
  }

  get smooth(): boolean {
    return this.#smooth;
  }

  /** Whether `tick` will move it. */
  get moving(): boolean {
    return this.#playing || (this.#following && this.index < this.#steps.length - 1);
  }

  /** The place as an index into `steps`, with a fraction between two. */
  get index(): number {
    return indexAt(this.#steps, this.#at);
  }

  get span(): Span {
    const last = Math.max(0, this.#steps.length - 1);
    const index = this.index;
    const a = clamp(Math.floor(index + 1e-9), 0, last);
    const t = this.#smooth ? clamp(index - a, 0, 1) : 0;
    return { a, b: t > 0 ? Math.min(a + 1, last) : a, t };
  }

  /** The snapshots that there are now, in order. */
  setSteps(steps: readonly number[]): void {
    if (steps === this.#steps) return;
    const before = this.#steps.length;
    this.#steps = steps;
    if (steps.length === 0) this.#playing = false;
    const last = steps.length - 1;
    if (this.#following && (before === 0 || !this.#smooth || last - this.index > FAR)) {
      this.#at = steps[last] ?? 0;
    }
    this.#changed();
  }

  /** Go on, from the start if it is at the end. */
  play(): void {
    if (this.#steps.length < 2) return;
    if (this.index >= this.#steps.length - 1) this.#at = this.#steps[0] as number;
    this.#playing = true;
    this.#following = false;
    this.#changed();
  }

  pause(): void {
    if (!this.#playing) return;
    this.#playing = false;
    this.#changed();
  }

  toggle(): void {
    if (this.#playing) this.pause();
    else this.play();
  }

  /** Go to a step, or as near as snapshots reach; playback goes on from there if it was going. */
  seek(step: number): void {
    const { length } = this.#steps;
    if (length === 0 || !Number.isFinite(step)) return;
    const at = clamp(step, this.#steps[0] as number, this.#steps[length - 1] as number);
    if (at === this.#at && !this.#following) return;
    this.#at = at;
    this.#following = false;
    this.#changed();
  }

  /** Go to a place by index, with a fraction. */
  seekIndex(index: number): void {
    this.seek(stepAt(this.#steps, index));
  }

  /** Go `by` snapshots on or back, and stay there. */
  nudge(by: number): void {
    const index = this.index;
    const from = by > 0 ? Math.floor(index + 1e-9) : Math.ceil(index - 1e-9);
    this.#playing = false;
    this.seekIndex(clamp(from + by, 0, this.#steps.length - 1));
    this.#changed();
  }

  /** Stay with the newest. */
  follow(): void {
    this.#playing = false;
    this.#following = true;
    this.#at = this.#steps[this.#steps.length - 1] ?? this.#at;
    this.#changed();
  }

  set(options: { speed?: number; loop?: boolean; smooth?: boolean }): void {
    this.#speed = options.speed ?? this.#speed;
    this.#loop = options.loop ?? this.#loop;
    this.#smooth = options.smooth ?? this.#smooth;
    this.#changed();
  }

  /** `ms` went by. */
  tick(ms: number): void {
    if (!this.moving || !(ms > 0)) return;
    const last = this.#steps.length - 1;
    if (!this.#playing) {
      const left = last - this.index;
      const next = this.index + Math.max(ms / GLIDE_MS, (left * ms) / GLIDE_MS);
      this.#at = stepAt(this.#steps, Math.min(last, next));
    } else {
      const next = this.index + (this.#speed * ms) / 1000;
      if (next < last) this.#at = stepAt(this.#steps, next);
      else if (this.#loop) this.#at = stepAt(this.#steps, last > 0 ? (next - last) % last : 0);
      else {
        this.#at = this.#steps[last] as number;
        this.#playing = false;
      }
    }
    this.#changed();
  }
}

/** Where `step` lies among `steps`, as an index with a fraction. */
export function indexAt(steps: readonly number[], step: number): number {
  const last = steps.length - 1;
  if (last < 0 || step <= (steps[0] as number)) return 0;
  if (step >= (steps[last] as number)) return last;
  let [low, high] = [0, last];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((steps[middle] as number) <= step) low = middle;
    else high = middle;
  }
  const [from, to] = [steps[low] as number, steps[high] as number];
  return low + (step - from) / (to - from);
}

/** The step at an index with a fraction. */
export function stepAt(steps: readonly number[], index: number): number {
  const at = clamp(index, 0, Math.max(0, steps.length - 1));
  const low = Math.floor(at);
  const from = steps[low] ?? 0;
  return from + ((steps[low + 1] ?? from) - from) * (at - low);
}
