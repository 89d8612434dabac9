/** Explanations for the keyboard. */

import { afterEach, expect, test, vi } from "vitest";
import { showAids } from "../../src/parameters/aid";
import { KINDS, spelled } from "../../src/parameters/explain";
import { button, h } from "../../src/view";

afterEach(() => {
  document.body.replaceChildren();
  vi.restoreAllMocks();
});

test("a focused element's explanation is shown until the focus goes, or Escape is pressed", () => {
  const end = new AbortController();
  const root = h("div");
  const mlp = button("mlp", "MLP", spelled(KINDS.mlp), () => {}, end.signal);
  const plain = button("reset", "reset", "Reset", () => {}, end.signal);
  root.append(mlp, plain);
  document.body.append(root);
  const seen = vi.spyOn(HTMLElement.prototype, "matches").mockReturnValue(true);
  showAids(root, end.signal);
  const tip = root.querySelector<HTMLElement>(".nbm-aid")!;
  expect(tip.hidden).toBe(true);
  mlp.focus();
  expect(tip.hidden).toBe(false);
  expect(tip.querySelector("[data-tone=bad]")?.textContent).toContain(KINDS.mlp.unhealthy);
  plain.focus();
  expect(tip.hidden).toBe(true);
  mlp.focus();
  mlp.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
  expect(tip.hidden).toBe(true);
  plain.focus();
  // By a click: its title is shown by the browser.
  seen.mockReturnValue(false);
  mlp.focus();
  expect(tip.hidden).toBe(true);
  end.abort();
  expect(root.querySelector(".nbm-aid")).toBeNull();
});
