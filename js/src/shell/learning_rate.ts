/** The learning rate's menu: halve, double, set a value, undo. */

import { short } from "../format";
import { button, h, setAttr, setText } from "../view";
import { type Desk, showWish } from "./desk";
import { popover } from "./popover";

const NAMES = ["learning_rate", "undo_learning_rate"];

export function learningRateMenu(desk: Desk): { el: HTMLElement; show: () => void } {
  const { controls, live, signal } = desk;
  const anchor = desk.make("learning-rate", "LEARNING RATE", "LR", () => {});
  const factor = h("b");
  anchor.append(factor);
  const now = h("b");
  const by = (multiply: number) => () => controls.ask("learning_rate", { multiply });
  const half = button("lr-half", "× 0.5", "half the learning rate", by(0.5), signal);
  const double = button("lr-double", "× 2", "twice the learning rate", by(2), signal);
  const undo = button("lr-undo", "UNDO", "", () => controls.ask("undo_learning_rate"), signal);
  const input = h("input", {
    class: "nbm-input",
    type: "text",
    inputmode: "decimal",
    placeholder: "2e-5",
    "aria-label": "new learning rate",
    "data-control": "lr-value",
  });
  const wrong = h("div", { class: "nbm-wrong", role: "alert", hidden: true });
  const set = () => {
    const value = Number(input.value.trim().replace(",", "."));
    const ok = input.value.trim() !== "" && Number.isFinite(value) && value > 0;
    setAttr(input, "aria-invalid", ok ? null : "true");
    wrong.hidden = ok;
    if (ok) {
      controls.ask("learning_rate", { set: value });
      input.value = "";
    } else setText(wrong, "a positive number is needed, such as 2e-5");
  };
  const apply = button("lr-set", "SET", "set the learning rate of this step", set, signal);
  input.addEventListener("keydown", (event) => event.key === "Enter" && set(), { signal });
  const box = h(
    "div",
    { role: "group", "aria-label": "Learning rate" },
    h("div", { class: "nbm-say" }, "now ", now),
    h("div", { class: "nbm-row" }, half, double, undo),
    h("div", { class: "nbm-row" }, input, apply),
    wrong,
    h("div", { class: "nbm-say" }, "it lasts: the schedule goes on from there"),
  );
  const show = () => {
    const { factor: times, undo: can } = controls.learningRate;
    showWish(desk, anchor, "change the learning rate", ...NAMES);
    for (const el of [half, double, apply]) {
      const obstacle = controls.obstacle("learning_rate");
      el.disabled = obstacle !== "";
      if (obstacle) setAttr(el, "title", obstacle);
    }
    const obstacle = controls.obstacle("undo_learning_rate") || (can ? "" : "nothing to undo");
    undo.disabled = obstacle !== "";
    setAttr(undo, "title", obstacle || "take back the last change");
    setText(factor, times === 1 ? "" : `×${Number(times.toPrecision(3))}`);
    const last = live.store.series("train/learning_rate")?.last();
    setText(now, last ? short(last.value) : "–");
    if (anchor.disabled) menu.close();
  };
  const menu = popover(anchor, box, signal, show, () => {
    wrong.hidden = true;
    setAttr(input, "aria-invalid", null);
  });
  return { el: menu.el, show };
}
