/** Numbers that look random and are the same on every load. */

/** A uniform number in [0, 1) that depends on `key` and `n` only. */
export function noise(key: number, n: number): number {
  let h = Math.imul(key + 0x9e3779b9, 0x85ebca6b) ^ Math.imul(n + 1, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return ((h ^ (h >>> 15)) >>> 0) / 4294967296;
}

/** A roughly normal number, mean 0 and deviation 1. */
export function normal(key: number, n: number): number {
  let sum = 0;
  for (let i = 0; i < 6; i++) sum += noise(key * 31 + i, n);
  return (sum - 3) * Math.SQRT2;
}
