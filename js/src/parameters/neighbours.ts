/**
 * The tokens that lie in the same direction as one: by the cosine of the coordinates in view.
 * Three coordinates hold a part of an embedding's variance, so these are neighbours in this 3-D view
 * and the label says so. Pure.
 */

export interface Neighbour {
  readonly index: number;
  /** Cosine of the angle between the two, seen from the origin of the view, -1 to 1. */
  readonly cosine: number;
}

export const NEIGHBOURS_LABEL = "nearest by cosine in this 3-D view";

/**
 * The `most` points with the greatest cosine to point `index`, greatest first. `points` holds xyz
 * after xyz. A point at the origin has no direction: it has and is no neighbour.
 */
export function neighboursOf(points: ArrayLike<number>, index: number, most = 8): Neighbour[] {
  const n = Math.floor(points.length / 3);
  const [x, y, z] = [points[3 * index]!, points[3 * index + 1]!, points[3 * index + 2]!];
  const length = Math.hypot(x, y, z);
  if (!(index >= 0 && index < n) || length === 0) return [];
  const best: Neighbour[] = [];
  for (let i = 0; i < n; i++) {
    if (i === index) continue;
    const [u, v, w] = [points[3 * i]!, points[3 * i + 1]!, points[3 * i + 2]!];
    const other = Math.sqrt(u * u + v * v + w * w);
    if (other === 0) continue;
    const cosine = (x * u + y * v + z * w) / (length * other);
    if (best.length === most && cosine <= best[most - 1]!.cosine) continue;
    let at = best.length === most ? most - 1 : best.length;
    while (at > 0 && best[at - 1]!.cosine < cosine) at--;
    best.splice(at, 0, { index: i, cosine: Math.min(1, Math.max(-1, cosine)) });
    best.length = Math.min(best.length, most);
  }
  return best;
}
