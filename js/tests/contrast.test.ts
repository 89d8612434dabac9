// @vitest-environment node
/** Text against its backgrounds, as WCAG 2 reckons it: 4.5:1 for text, 3:1 for signs (AA). */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { rgb } from "../src/paint";

const CSS = readFileSync(new URL("../src/theme.css", import.meta.url), "utf8");

function tokens(selector: string): Map<string, string> {
  const block = CSS.slice(CSS.indexOf(`${selector} {`)).split("}")[0] ?? "";
  return new Map([...block.matchAll(/--nbm-([a-z]+):\s*([^;]+);/g)].map((m) => [m[1]!, m[2]!]));
}

const THEMES = { neon: tokens(".nbmonitor"), light: tokens('.nbmonitor[data-theme="light"]') };

function luminance(color: string): number {
  const [r, g, b] = rgb(color).map((v) => {
    const part = v / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

function contrast(one: string, other: string): number {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light! + 0.05) / (dark! + 0.05);
}

// Everything that letters are written in; `dim` is for disabled controls alone, `hot` for signs.
const TEXT = ["readout", "label", "gauge", "loss", "lr", "alarm", "warn"];
const SIGNS = ["hot", "loss", "lr", "grad", "eval", "gauge", "warn"];

describe.each(Object.entries(THEMES))("%s", (_, theme) => {
  const of = (name: string) => theme.get(name)!;

  test.each(TEXT.flatMap((name) => ["bg", "panel"].map((back) => [name, back] as const)))(
    "text in %s on %s",
    (name, back) => {
      expect(contrast(of(name), of(back))).toBeGreaterThanOrEqual(4.5);
    },
  );

  test.each(SIGNS)("strokes and signs in %s on a panel", (name) => {
    expect(contrast(of(name), of("panel"))).toBeGreaterThanOrEqual(3);
  });

  test("lines that have no colour of their own", () => {
    for (const hue of of("hues").split(/\s+/)) {
      expect(contrast(hue, of("panel")), hue).toBeGreaterThanOrEqual(3);
    }
  });
});

test("the reckoning: black on white is 21:1, and the palette's #607080 would be too faint", () => {
  expect(contrast("#000000", "#ffffff")).toBeCloseTo(21);
  expect(contrast("#607080", "#0d1420")).toBeLessThan(4.5);
});
