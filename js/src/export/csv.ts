/**
 * A run as a table: one row per step, one column per key. What the page holds in buckets
 * gives the bucket's last row, which is exact: a summary leaves rows out and invents none.
 */

import type { Store } from "../store";
import { resolution } from "./resolution";

/** Lines of text that are put together at a time. */
const LINES = 4096;

/** A float32 in the fewest digits that give it back. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  for (let digits = 6; digits < 9; digits++) {
    const near = Number(value.toPrecision(digits));
    if (Math.fround(near) === value) return String(near);
  }
  return String(Number(value.toPrecision(9)));
}

function field(text: string): string {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export interface Csv {
  parts: string[];
  resolution: string;
}

/** The whole store as CSV; the first line is a comment that says what it is. */
export function toCsv(store: Store, name: string): Csv {
  const series = store.match("*").filter((s) => s.rows > 0);
  const stretches = series.map((s) => s.stretches());
  const told = resolution(stretches.flat());
  const columns = stretches.map((all) => ({ all, part: 0, at: 0 }));
  const parts: string[] = [];
  let lines = [
    `# nbmonitor ${name.replace(/\s+/g, " ")}; ${told}; a line that starts with # is a comment`,
    ["step", ...series.map((s) => field(s.spec.key))].join(","),
  ];
  const flush = () => {
    parts.push(`${lines.join("\n")}\n`);
    lines = [];
  };
  for (;;) {
    let step = Number.POSITIVE_INFINITY;
    for (const column of columns) {
      const x = column.all[column.part]?.x[column.at];
      if (x !== undefined && x < step) step = x;
    }
    if (step === Number.POSITIVE_INFINITY) break;
    const cells = columns.map((column) => {
      let text = "";
      // Several readings in one step, as of a gauge: the last one counts.
      for (;;) {
        const stretch = column.all[column.part];
        if (stretch?.x[column.at] !== step) return text;
        text = floatText(stretch.last[column.at]!);
        column.at += 1;
        if (column.at < stretch.x.length) continue;
        column.part += 1;
        column.at = 0;
      }
    });
    lines.push([String(step), ...cells].join(","));
    if (lines.length >= LINES) flush();
  }
  if (lines.length > 0) flush();
  return { parts, resolution: told };
}
