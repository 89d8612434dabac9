/** The latest value of a tensor, as typed array. Owns the dtype table; knows no drawing. */

import { assert } from "./assert";
import type { Put } from "./wire.gen";

export type TensorData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

export interface Tensor {
  key: string;
  step: number;
  dtype: string;
  shape: readonly number[];
  meta: Readonly<Record<string, unknown>>;
  /** C order. float16 arrives as Float32Array, 64-bit integers as Float64Array. */
  data: TensorData;
}

function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const READERS: Record<string, (b: ArrayBuffer) => TensorData> = {
  bool: (b) => new Uint8Array(b),
  uint8: (b) => new Uint8Array(b),
  int8: (b) => new Int8Array(b),
  uint16: (b) => new Uint16Array(b),
  int16: (b) => new Int16Array(b),
  uint32: (b) => new Uint32Array(b),
  int32: (b) => new Int32Array(b),
  float16: (b) => Float32Array.from(new Uint16Array(b), halfToFloat),
  float32: (b) => new Float32Array(b),
  float64: (b) => new Float64Array(b),
  int64: (b) => Float64Array.from(new BigInt64Array(b), Number),
  uint64: (b) => Float64Array.from(new BigUint64Array(b), Number),
};

/** Copy the bytes of a `put` into a tensor of our own. */
export function decodeTensor(message: Put, view: DataView | undefined): Tensor {
  const { key, step, dtype, shape, meta } = message;
  const read = READERS[dtype];
  assert(read, `tensor ${key}: dtype ${dtype} given, one of ${Object.keys(READERS).join(", ")}`);
  assert(view, `tensor ${key}: its buffer is missing`);
  const bytes = new Uint8Array(view.byteLength);
  bytes.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  const data = read(bytes.buffer);
  const size = shape.reduce((product, n) => product * n, 1);
  assert(data.length === size, `tensor ${key}: shape ${shape} given, ${data.length} values came`);
  return { key, step, dtype, shape, meta, data };
}
