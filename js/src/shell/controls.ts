/** The toolbar that steers the training: buttons, their states, and a line that tells. */

import { assertNever } from "../assert";
import type { Controls, Wish } from "../controls";
import { grouped } from "../format";
import type { Live } from "../model";
import { h, keepKeys, setText } from "../view";
import { cadenceMenu } from "./cadence";
import { makeDesk, showWish, wishText } from "./desk";
import { learningRateMenu } from "./learning_rate";
import type { Notice, Tone } from "./notice";
import { stopMenu } from "./stop";

/** What the line says of a wish. */
function told(wish: Wish): [text: string, tone: Tone] {
  const what = wishText(wish);
  const said = wish.message.trim();
  switch (wish.state) {
    case "sent":
      return [`${what}: sent`, "wait"];
    case "queued":
      return [`${what}: ${said || "queued"}`, "wait"];
    case "applied": {
      const at = wish.step === null ? "" : ` at step ${grouped(wish.step)}`;
      return [`${what}: applied${at}${said ? ` · ${said}` : ""}`, "good"];
    }
    case "refused":
    case "failed":
      return [`${what} ${wish.state}${said ? `: ${said}` : ""}`, "bad"];
    default:
      return assertNever(wish.state);
  }
}

/** Build the toolbar into `root`; nothing at all where nobody could ever be asked. */
export function mountControls(
  root: HTMLElement,
  live: Live,
  controls: Controls,
  notice: Notice,
  signal: AbortSignal,
): void {
  const bar = h("div", {
    class: "nbm-controls",
    role: "toolbar",
    "aria-label": "Controls of the training",
  });
  root.append(bar);
  if (!controls.possible) {
    bar.append(notice.el);
    return;
  }
  keepKeys(bar, signal);
  const desk = makeDesk(live, controls, signal);
  const simple = (name: "pause" | "resume" | "checkpoint" | "evaluate", brief: string) =>
    desk.make(name, name.toUpperCase(), brief, () => controls.ask(name));
  const pause = simple("pause", "PAUSE");
  const resume = simple("resume", "RESUME");
  const checkpoint = simple("checkpoint", "CKPT");
  const evaluate = simple("evaluate", "EVAL");
  const menus = [learningRateMenu(desk), cadenceMenu(desk), stopMenu(desk)];
  bar.append(pause, resume, checkpoint, evaluate, ...menus.map((m) => m.el), notice.el);

  const show = () => {
    const paused = live.get("status").state === "paused";
    const active = document.activeElement;
    pause.hidden = paused;
    resume.hidden = !paused;
    showWish(desk, pause, "pause at the end of this step; the cell stays alive", "pause");
    showWish(desk, resume, "go on with the training", "resume");
    showWish(desk, checkpoint, "save a checkpoint at the end of this step", "checkpoint");
    showWish(desk, evaluate, "evaluate at the end of this step", "evaluate");
    // The two share a place: whoever pressed one stands on the other.
    if (active === pause && paused) resume.focus();
    if (active === resume && !paused) pause.focus();
    for (const menu of menus) menu.show();
  };
  controls.onChange((news) => {
    show();
    if (news) notice.say(...told(news));
  }, signal);
  live.onTrait("config", show, signal);
  show();
  setText(notice.el, "");
}
