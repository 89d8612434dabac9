/**
 * Numbers as people read them: units, durations, tick labels. Pure; "–" is never made
 * here, because only the caller knows the reason for a missing value.
 */

import { niceStep } from "./scale";

const SI = ["", "k", "M", "G", "T", "P"];
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB"];

function special(v: number): string | null {
  if (Number.isNaN(v)) return "NaN";
  if (v === Number.POSITIVE_INFINITY) return "+∞";
  if (v === Number.NEGATIVE_INFINITY) return "−∞";
  return null;
}

function minus(text: string): string {
  return text.replace(/^-/, "−");
}

function exponent(v: number, digits: number): string {
  const [mantissa, power] = v.toExponential(digits).split("e");
  return minus(`${mantissa}E${power!.replace("+", "")}`);
}

/** 1234567 as "1,234,567". */
export function grouped(v: number): string {
  return special(v) ?? minus(Math.round(v).toString()).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** A measured value in a few characters: 0.847, 12.3, 1,240, 1.4E-5. */
export function short(v: number): string {
  const odd = special(v);
  if (odd) return odd;
  const size = Math.abs(v);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e6) return exponent(v, 1);
  if (size >= 1000) return grouped(v);
  return minus(v.toPrecision(3));
}

/** A value as exactly as a float32 carries it. */
export function exact(v: number): string {
  const odd = special(v);
  if (odd) return odd;
  const size = Math.abs(v);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e7) return exponent(v, 4);
  return minus(Number.isInteger(v) ? grouped(v) : String(Number(v.toPrecision(6))));
}

/** A count with an SI prefix: 412, 12.4k, 1.2M. */
export function counted(v: number): string {
  const odd = special(v);
  if (odd) return odd;
  let size = Math.abs(v);
  let k = 0;
  while (size >= 999.5 && k < SI.length - 1) {
    size /= 1000;
    k++;
  }
  const digits = size < 10 && k > 0 ? 2 : size < 100 && !Number.isInteger(size) ? 1 : 0;
  const text = digits > 0 ? size.toFixed(digits).replace(/\.?0+$/, "") : size.toFixed(0);
  return `${v < 0 ? "−" : ""}${text}${SI[k]}`;
}

/** Bytes in binary units: 14.2 GiB. */
export function bytes(v: number): string {
  const odd = special(v);
  if (odd) return odd;
  let size = Math.abs(v);
  let k = 0;
  while (size >= 1000 && k < BINARY.length - 1) {
    size /= 1024;
    k++;
  }
  return `${v < 0 ? "−" : ""}${size.toFixed(k === 0 || size >= 100 ? 0 : 1)} ${BINARY[k]}`;
}

/** Seconds as 0:42, 14:22, 3:07:05 or 2 d 4 h. */
export function duration(seconds: number): string {
  const odd = special(seconds);
  if (odd) return odd;
  if (seconds > 0 && seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  const all = Math.max(0, Math.round(seconds));
  const h = Math.floor(all / 3600);
  if (h >= 48) return `${Math.floor(h / 24)} d ${h % 24} h`;
  const m = Math.floor(all / 60) % 60;
  const s = String(all % 60).padStart(2, "0");
  return h > 0 ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
}

/** A time of day, HH:MM:SS, of seconds since the epoch, in the viewer's zone. */
export function clock(time: number): string {
  const at = new Date(time * 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** A value with its unit, as declared for its series. */
export function withUnit(v: number, unit: string): string {
  if (special(v)) return special(v)!;
  switch (unit) {
    case "bytes":
      return bytes(v);
    case "ratio":
      return `${Number((v * 100).toPrecision(v < 0.1 ? 2 : 3))} %`;
    case "%":
      return `${Math.round(v)} %`;
    case "°C":
      return `${Math.round(v)} °C`;
    case "W":
      return `${Math.round(v)} W`;
    case "s":
      return duration(v);
    case "tokens":
      return counted(v);
    case "":
      return short(v);
    default:
      return `${v >= 1000 ? counted(v) : short(v)} ${unit}`;
  }
}

/** Labels of the ticks of one axis, all with the same number of decimals. */
export function tickLabels(values: readonly number[], unit = "", log = false): string[] {
  if (values.length === 0) return [];
  if (unit === "bytes") return values.map(bytes);
  const size = Math.max(...values.map(Math.abs));
  if (log && size / Math.min(...values.map(Math.abs)) >= 10) return values.map(plain);
  const first = values[0]!;
  const last = values[values.length - 1]!;
  const step = values.length > 1 ? niceStep((last - first) / (values.length - 1), 1) : size || 1;
  const percent = unit === "ratio" ? 100 : 1;
  if (size * percent < 1e-2 || size >= 1e6) {
    const power = Math.floor(Math.log10(size || 1));
    if (size >= 1e6) return values.map(counted);
    const digits = Math.max(0, power - Math.floor(Math.log10(step)));
    return values.map((v) => (v === 0 ? "0" : exponent(v, digits)));
  }
  if (size >= 10_000 && step >= 100) return values.map(counted);
  const digits = Math.max(0, -Math.floor(Math.log10(step * percent) + 1e-9));
  if (digits === 0 && percent === 1) return values.map(grouped);
  const tail = percent === 100 ? "%" : "";
  return values.map((v) => `${minus((v * percent).toFixed(digits))}${tail}`);
}

/** Shortest way to write a round number, for logarithmic axes. */
function plain(v: number): string {
  const size = Math.abs(v);
  if (size >= 1000) return counted(v);
  return size < 1e-2 ? exponent(v, 0) : String(v);
}

/** Last part of a key, readable: "eval/a_loss" is "a loss". */
export function keyLabel(key: string): string {
  return (key.split("/").pop() ?? key).replaceAll("_", " ");
}

/** Parts of a line of text, those that there are. */
export function dotted(...parts: readonly (string | false | null | undefined)[]): string {
  return parts.filter(Boolean).join(" · ");
}
