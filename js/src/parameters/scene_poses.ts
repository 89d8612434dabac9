/** Where to look at the scene from: at all of it, a layer, a token. Pure. */

import type { Point, Pose } from "./scene_camera";
import { type Layout, MARGIN, roomOf, SIDE, type Size } from "./scene_layout";
import type { Look } from "./stage";

const SIGN = 1.4;
/** Halvings of a distance: to a millionth of the farthest. */
const HALVINGS = 28;
const FARTHEST = 400;
const STOREY_PITCH = 0.8;
/** From a token. */
const NEAR = 7;

/** What is to be seen. */
export type Seen = Pick<Look, "visible" | "showTokens" | "showPositions">;

/** A ball, and pixels that it needs beside, above and below it: left, right, up, down. */
interface Item {
  readonly at: Point;
  readonly radius: number;
  readonly room: readonly [number, number, number, number];
}

const NO_ROOM = [0, 0, 0, 0] as const;

function itemsOf(layout: Layout, seen: Seen): Item[] {
  const items: Item[] = [];
  if (seen.showTokens && layout.tokens.radius > 0) {
    items.push({ ...layout.tokens, room: NO_ROOM });
  }
  if (seen.showPositions && layout.positions.radius > 0) {
    items.push({ ...layout.positions, room: NO_ROOM });
  }
  const heights = new Set<number>();
  const s = SIDE / 2;
  for (const { matrix, at } of layout.sheets) {
    if (!seen.visible.has(matrix)) continue;
    heights.add(at[1]);
    for (const [x, z] of [
      [-s, -s],
      [s, -s],
      [-s, s],
      [s, s],
    ] as const) {
      items.push({ at: [at[0] + x, at[1], at[2] + z], radius: 0, room: NO_ROOM });
    }
  }
  const roof = layout.floors.at(-1)?.height ?? Number.NaN;
  for (const sign of layout.signs) {
    const wanted = {
      floor: heights.has(layout.floors[sign.rank]?.height ?? Number.NaN),
      column: heights.has(roof),
      tokens: seen.showTokens,
    }[sign.of];
    if (wanted) items.push({ at: sign.at, radius: 0, room: roomOf(sign) });
  }
  return items;
}

/**
 * From this direction, as near as all items are in view within the margins, and in their middle.
 * In the viewer's axes an item is within the frustum when it is between two slanted planes on
 * each axis; what is between depends on the distance in one way only, so that it can be halved.
 */
function fitted(items: readonly Item[], pitch: number, fov: number, size: Size): Pose {
  const half = Math.tan((fov * Math.PI) / 360);
  const pixel = (2 * half) / Math.max(1, size.height);
  const [sin, cos] = [Math.sin(pitch), Math.cos(pitch)];
  const placed = items.map(({ at: [x, y, z], radius, room }) => {
    const [up, near] = [cos * y - sin * z, sin * y + cos * z];
    // Slopes of the planes: what a picture's half is, without margins and the item's own room.
    const slope = (pixels: number, margin: number, own: number) =>
      Math.max(0.02, pixel * (pixels / 2 - margin - own));
    const left = slope(size.width, MARGIN.left, room[0]);
    const right = slope(size.width, MARGIN.right, room[1]);
    const above = slope(size.height, MARGIN.top, room[2]);
    const below = slope(size.height, MARGIN.bottom, room[3]);
    const round = (t: number) => radius * Math.hypot(1, t);
    return { x, up, near, left, right, above, below, round };
  });
  /** Where the eye may be, across and up, at this distance from the origin: [low, high] twice. */
  const between = (eye: number) => {
    const [low, high] = [
      [-Infinity, -Infinity],
      [Infinity, Infinity],
    ];
    for (const { x, up, near, left, right, above, below, round } of placed) {
      const away = eye - near;
      low[0] = Math.max(low[0]!, x + round(right) - away * right);
      high[0] = Math.min(high[0]!, x - round(left) + away * left);
      low[1] = Math.max(low[1]!, up + round(above) - away * above);
      high[1] = Math.min(high[1]!, up - round(below) + away * below);
    }
    return { low, high };
  };
  const nearest = Math.max(...placed.map(({ near }) => near));
  const farthest = Math.min(...placed.map(({ near }) => near));
  let [from, to] = [nearest, nearest + FARTHEST];
  for (let k = 0; k < HALVINGS; k++) {
    const eye = (from + to) / 2;
    const { low, high } = between(eye);
    if (low[0]! <= high[0]! && low[1]! <= high[1]!) to = eye;
    else from = eye;
  }
  const { low, high } = between(to);
  const [across, up] = [(low[0]! + high[0]!) / 2, (low[1]! + high[1]!) / 2];
  // To be turned around its middle.
  const middle = (nearest + farthest) / 2;
  const target: Point = [across, cos * up + sin * middle, cos * middle - sin * up];
  return { target, yaw: 0, pitch, distance: to - middle };
}

/** All that is seen in view, as large as it goes: `fov` in degrees from top to bottom. */
export function homeOf(layout: Layout, fov: number, size: Size, seen: Seen): Pose {
  const items = itemsOf(layout, seen);
  if (items.length === 0) return { target: [0, 0, 0], yaw: 0, pitch: layout.pitch, distance: 24 };
  return fitted(items, layout.pitch, fov, size);
}

/** Where to look at one layer from. */
export function poseOfLayer(
  layout: Layout,
  layer: number,
  fov: number,
  aspect: number,
): Pose | null {
  const floor = layout.floors.find((f) => f.layer === layer);
  if (!floor) return null;
  const [left, right] = layout.span;
  const half = Math.tan((fov * Math.PI) / 360);
  // Room for the floor's name on the left.
  const width = right - left + 2 * SIGN;
  const target: Point = [(left + right - SIGN) / 2, floor.height, 0];
  const distance = Math.max(width / 2 / (half * aspect), SIDE / half) + SIDE;
  return { target, yaw: 0, pitch: STOREY_PITCH, distance };
}

/** Sheets of higher floors than a layer's: they hide it from above. */
export function above(layout: Layout, layer: number): ReadonlySet<number> {
  const floor = layout.floors.find((f) => f.layer === layer);
  const height = floor?.height ?? Number.POSITIVE_INFINITY;
  return new Set(layout.sheets.filter(({ at }) => at[1] > height + 1e-6).map((s) => s.matrix));
}

export function poseOfToken(at: Point, from: Pose): Pose {
  return { target: at, yaw: from.yaw, pitch: from.pitch, distance: NEAR };
}
