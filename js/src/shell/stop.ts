/** The stop menu. It asks again, because an ended training cannot be taken up where it was. */

import { button, h, setAttr, setText } from "../view";
import { type Desk, showWish } from "./desk";
import { popover } from "./popover";

type Way = "stop" | "save_and_stop";

const WAYS: Record<Way, { label: string; hint: string; ask: string }> = {
  stop: {
    label: "STOP NOW",
    hint: "end the training after this step",
    ask: "End the training after this step, without a checkpoint? This can't be undone.",
  },
  save_and_stop: {
    label: "SAVE, THEN STOP",
    hint: "save a checkpoint, then end the training",
    ask: "Save a checkpoint and end the training? This can't be undone.",
  },
};

export function stopMenu(desk: Desk): { el: HTMLElement; show: () => void } {
  const { controls, signal } = desk;
  const anchor = desk.make("stop", "STOP", "STOP", () => {});
  let chosen: Way = "stop";
  const ways = (["stop", "save_and_stop"] as const).map((way) => {
    const id = way === "stop" ? "stop-now" : "save-and-stop";
    const el = button(id, WAYS[way].label, WAYS[way].hint, () => choose(way), signal);
    return { way, el };
  });
  const first = h("div", { class: "nbm-column" }, ...ways.map(({ el }) => el));
  const question = h("div", { class: "nbm-say" });
  const confirm = button(
    "stop-confirm",
    "",
    "",
    () => {
      controls.ask(chosen);
      menu.close();
    },
    signal,
  );
  confirm.classList.add("nbm-danger");
  const cancel = button(
    "stop-cancel",
    "KEEP TRAINING",
    "leave the training as it is",
    () => menu.close(),
    signal,
  );
  const second = h(
    "div",
    { class: "nbm-column", role: "alertdialog", "aria-label": "Really stop?", hidden: true },
    question,
    h("div", { class: "nbm-row" }, confirm, cancel),
  );
  const choose = (way: Way) => {
    chosen = way;
    setText(question, WAYS[way].ask);
    setText(confirm, WAYS[way].label);
    first.hidden = true;
    second.hidden = false;
    // Not the dangerous one: a second Enter must not end the run by itself.
    cancel.focus();
  };
  const reset = () => {
    first.hidden = false;
    second.hidden = true;
  };
  const menu = popover(
    anchor,
    h("div", { role: "group", "aria-label": "Stop" }, first, second),
    signal,
    reset,
    reset,
  );
  const show = () => {
    showWish(desk, anchor, "end the training", "stop", "save_and_stop");
    for (const { way, el } of ways) {
      const obstacle = controls.obstacle(way);
      el.disabled = obstacle !== "";
      setAttr(el, "title", obstacle || WAYS[way].hint);
    }
    if (anchor.disabled) menu.close();
  };
  return { el: menu.el, show };
}
