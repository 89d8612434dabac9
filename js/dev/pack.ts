/**
 * Packs frames in the page, so that the replay goes through the real codec and store.
 * Writes plain points only, one group per column; `wire.py` stays the reference.
 */

import { packFrame as packed } from "../src/pack";
import { bucketed } from "../src/thin";
import { VERSION } from "../src/wire.gen";

export interface Column {
  id: number;
  offset: number;
  x: readonly number[];
  values: readonly number[];
}

const padded = (bytes: number) => Math.ceil(bytes / 8) * 8;

/** A frame with each column in a group of its own, x written out. */
export function packFrame(columns: readonly Column[]): DataView {
  const size = columns.reduce(
    (sum, c) => sum + 16 + c.x.length * 8 + 16 + padded(c.x.length * 4),
    8,
  );
  const view = new DataView(new ArrayBuffer(size));
  view.setUint32(0, VERSION, true);
  view.setUint32(4, columns.length, true);
  let at = 8;
  for (const { id, offset, x, values } of columns) {
    view.setUint32(at, x.length, true);
    view.setUint32(at + 4, 1, true);
    at += 16;
    for (const [i, value] of x.entries()) view.setFloat64(at + i * 8, value, true);
    at += x.length * 8;
    view.setUint32(at, id, true);
    view.setUint32(at + 8, offset, true);
    at += 16;
    for (const [i, value] of values.entries()) view.setFloat32(at + i * 4, value, true);
    at += padded(values.length * 4);
  }
  return view;
}

/** A frame with every `size` rows of a column in one bucket. */
export function packBuckets(columns: readonly Column[], size: number): DataView {
  const stretches = columns.map(({ id, offset, x, values }) => {
    const all = Float32Array.from(values);
    const columns = { min: all, max: all, mean: all, last: all };
    const plain = { id, offset, x: Float64Array.from(x), ...columns, counts: null, marks: null };
    return bucketed([plain], size) ?? plain;
  });
  return new DataView(packed(stretches).buffer);
}
