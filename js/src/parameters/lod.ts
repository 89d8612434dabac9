/**
 * How many points to draw: 10,000, 5,000 or 1,000, by how far away the viewer is and by how long
 * frames take. Which of them: the first of one fixed random order, so that fewer are an even sample
 * of more and nothing flickers between levels.
 */

export const LEVELS = [10_000, 5_000, 1_000] as const;
export type Level = (typeof LEVELS)[number];

/** Milliseconds between frames above which a level is too dear, and below which more may be tried. */
const SLOW = 34;
const QUICK = 21;
const SPARE = 8;
/** Frames that a verdict needs; a step up that had to be taken back waits longer each time. */
const SLOW_FRAMES = 6;
const QUICK_FRAMES = 90;
const PATIENCE = 8;

/** The level that the distance allows: from afar, points lie on each other anyway. */
export function levelAt(zoom: number): Level {
  if (zoom < 0.35) return 1_000;
  if (zoom < 0.7) return 5_000;
  return 10_000;
}

/** Chooses the level. `note` takes each frame's time, `level` says what holds. */
export class Lod {
  #down = 0;
  #slow = 0;
  #quick = 0;
  #patience = 1;
  #rose = false;

  /**
   * Note a frame: `interval` between it and the last one while something moves, and `work`, the
   * part of it that drawing took. Pauses are no slowness, and what is slow while drawing takes
   * next to nothing is somebody else's work: fewer points would not help.
   */
  note(interval: number, work: number): void {
    if (!(interval > 0) || interval > 1000) return;
    const slow = work > SLOW || (interval > SLOW && work > SPARE);
    this.#slow = slow ? this.#slow + 1 : Math.max(0, this.#slow - 0.5);
    this.#quick = !slow && interval < QUICK && work < SPARE ? this.#quick + 1 : 0;
    if (this.#slow >= SLOW_FRAMES && this.#down < LEVELS.length - 1) {
      this.#down++;
      if (this.#rose) this.#patience = Math.min(PATIENCE, this.#patience * 2);
      this.#rest(false);
    } else if (this.#quick >= QUICK_FRAMES * this.#patience && this.#down > 0) {
      this.#down--;
      this.#rest(true);
    }
  }

  level(zoom: number): Level {
    return Math.min(levelAt(zoom), LEVELS[this.#down]!) as Level;
  }

  /** Whether frames were too slow for more, rather than the distance. */
  get slowed(): boolean {
    return this.#down > 0;
  }

  #rest(rose: boolean): void {
    this.#slow = 0;
    this.#quick = 0;
    this.#rose = rose;
  }
}

/** The numbers 0 to n - 1 in a random order that is the same each time (Fisher-Yates). */
export function shuffledOrder(n: number, seed = 1): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const random = generator(seed);
  for (let i = n - 1; i > 0; i--) {
    const k = Math.floor(random() * (i + 1));
    const kept = order[i]!;
    order[i] = order[k]!;
    order[k] = kept;
  }
  return order;
}

/** Random numbers in [0, 1) from a seed: mulberry32, by Tommy Ettinger. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}
