/** Open alerts beyond their panel: a number in the title bar, a message when nobody looks. */

import { AlertBook, counted } from "../alerts";
import type { Live } from "../model";
import type { UiState } from "../ui";
import { button, setAttr, setText } from "../view";

/** Whether the browser may show messages now, and the viewer wants them. */
export function notifies(ui: UiState): boolean {
  const able = typeof Notification !== "undefined" && Notification.permission === "granted";
  return able && ui.get("notify") !== false;
}

/** The counter; it takes the viewer to the alerts. */
export function mountAlarm(live: Live, ui: UiState, signal: AbortSignal): HTMLElement {
  const book = new AlertBook();
  const press = () => ui.set("place", { panel: "alerts", key: null });
  const el = button("alerts", "", "", press, signal);
  el.classList.add("nbm-alarm");
  const show = () => {
    const { count, worst } = counted(book.all, ui.get("dismissed"));
    el.hidden = count === 0;
    const told = `${count} open alert${count === 1 ? "" : "s"}`;
    setText(el, `▲ ${count}`);
    setAttr(el, "data-severity", worst);
    setAttr(el, "aria-label", told);
    setAttr(el, "title", `${told}, the worst is ${worst}: show them`);
  };
  let [events, generation] = [-1, -1];
  const read = () => {
    const { store } = live;
    if (store.events.length === events && store.generation === generation) return;
    // What the page was told of as history is no news.
    const news = events >= 0 && store.generation === generation;
    [events, generation] = [store.events.length, store.generation];
    const raised = book.read(store);
    if (news && document.visibilityState === "hidden" && notifies(ui)) {
      for (const { id, title, message, action, severity } of raised) {
        if (severity === "info") continue;
        const name = live.get("config").name ?? "nbmonitor";
        const body = [message, action && `→ ${action}`].filter(Boolean).join("\n");
        // Several views of one run tell it once: a message takes the place of one with its tag.
        const tag = `nbmonitor-${live.get("picture_id")}-${id}`;
        note(`${name}: ${title}`, body, tag);
      }
    }
    show();
  };
  live.store.onChange(read, signal);
  ui.on("dismissed", show, signal);
  read();
  return el;
}

function note(title: string, body: string, tag: string): void {
  try {
    const shown = new Notification(title, { body, tag });
    shown.onclick = () => {
      window.focus();
      shown.close();
    };
  } catch {
    // Some browsers allow this to service workers alone, and say so only here.
  }
}
