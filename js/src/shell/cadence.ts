/** The cadence's menu: the Trainer logs every so many steps. */

import { grouped } from "../format";
import { button, h, setAttr, setText } from "../view";
import { type Desk, showWish } from "./desk";
import { popover } from "./popover";

const CHOICES = [1, 10, 50, 100];

export function cadenceMenu(desk: Desk): { el: HTMLElement; show: () => void } {
  const { controls, live, signal } = desk;
  const anchor = desk.make("cadence", "LOG EVERY", "EVERY", () => {});
  const every = h("b");
  anchor.append(every);
  const ask = (steps: number) => {
    controls.ask("cadence", { logging_steps: steps });
    menu.close();
  };
  const quick = CHOICES.map((steps) =>
    button(`cadence-${steps}`, String(steps), `log every ${steps} steps`, () => ask(steps), signal),
  );
  const input = h("input", {
    class: "nbm-input",
    type: "text",
    inputmode: "numeric",
    placeholder: "steps",
    "aria-label": "log every so many steps",
    "data-control": "cadence-value",
  });
  const wrong = h("div", { class: "nbm-wrong", role: "alert", hidden: true });
  const set = () => {
    const steps = Number(input.value.trim());
    const ok = input.value.trim() !== "" && Number.isInteger(steps) && steps > 0;
    setAttr(input, "aria-invalid", ok ? null : "true");
    wrong.hidden = ok;
    if (ok) {
      input.value = "";
      ask(steps);
    } else setText(wrong, "a whole number of steps is needed, 1 or more");
  };
  const apply = button("cadence-set", "SET", "log every so many steps", set, signal);
  input.addEventListener("keydown", (event) => event.key === "Enter" && set(), { signal });
  const box = h(
    "div",
    { role: "group", "aria-label": "Cadence of logging" },
    h("div", { class: "nbm-say" }, "the Trainer logs every … steps"),
    h("div", { class: "nbm-row" }, ...quick),
    h("div", { class: "nbm-row" }, input, apply),
    wrong,
  );
  const show = () => {
    showWish(desk, anchor, "how often the Trainer logs", "cadence");
    const steps = controls.loggingSteps ?? live.get("config").logging_steps;
    setText(every, typeof steps === "number" ? grouped(steps) : "");
    if (anchor.disabled) menu.close();
  };
  const menu = popover(anchor, box, signal, show, () => {
    wrong.hidden = true;
    setAttr(input, "aria-invalid", null);
  });
  return { el: menu.el, show };
}
