/** Alerts, the weightiest first: what was measured, how sure, what to do; a click goes to the place. */

import { type Alert, AlertBook, asks, byWeight, dismissal } from "../alerts";
import { clock, dotted, grouped } from "../format";
import { button, h, keepKeys, setAttr, setText, type View, type ViewContext } from "../view";

/** Rows of alerts that are over; older ones are counted, not listed. */
const MOST = 100;

const NOTHING =
  "no alert so far: rules watch loss, gradients, learning rate, evaluations, adapters, throughput and hardware";

/** How sure, where it is known. */
function sure(confidence: number | null): string {
  if (confidence === null) return "";
  if (confidence === 1) return "certain";
  return confidence > 0.99 ? "> 99 % sure" : `${Math.round(confidence * 100)} % sure`;
}

function facts(alert: Alert): string {
  const [from, to] = alert.window ?? [alert.step, alert.step];
  const steps = from === to ? grouped(to) : `${grouped(from)}–${grouped(to)}`;
  const over = alert.cleared === null ? "" : `over at ${grouped(alert.cleared)}`;
  const often = alert.raises > 1 ? `${grouped(alert.raises)} times` : "";
  return dotted(`step ${steps}`, sure(alert.confidence), often, over);
}

function row(ctx: ViewContext, alert: Alert, put: boolean): HTMLElement {
  const { signal, ui } = ctx;
  const main = h(
    "button",
    {
      type: "button",
      class: "nbm-alert-main",
      title: `show it on the chart; raised at ${clock(alert.time)}`,
    },
    h("b", {}, h("i", { class: "nbm-severity" }, alert.severity), alert.title),
    h("span", { class: "nbm-alert-facts" }, facts(alert)),
  );
  const said = h("span", { class: "nbm-alert-text" }, alert.message || "–");
  if (alert.action) said.append(" ", h("em", {}, `→ ${alert.action}`));
  main.append(said);
  const { panel, key, window, step } = alert;
  main.addEventListener("click", () => ui.set("place", { panel, key, window, step }), { signal });
  const item = h(
    "li",
    {
      class: "nbm-alert",
      "data-alert": alert.id,
      "data-severity": alert.severity,
      "data-state": alert.open ? "raised" : "cleared",
      "data-dismissed": put,
    },
    main,
  );
  if (alert.open) {
    const name = dismissal(alert);
    const what = put ? "show it among the open ones again" : "put it away until it is raised again";
    const away = h(
      "button",
      { type: "button", class: "nbm-button nbm-away", "data-control": "dismiss", title: what },
      put ? "↩" : "✕",
    );
    setAttr(away, "aria-label", `${put ? "Take back" : "Dismiss"}: ${alert.title}`);
    away.addEventListener("click", () => ui.toggle("dismissed", name), { signal });
    item.append(away);
  }
  return item;
}

/** The button that asks, once, whether the browser may tell of alerts. */
function notifier(ctx: ViewContext): void {
  const { ui, signal } = ctx;
  if (typeof Notification === "undefined") return;
  const on = () => Notification.permission === "granted" && ui.get("notify") !== false;
  const press = async () => {
    if (Notification.permission !== "default") return ui.set("notify", !on());
    ui.set("notify", (await Notification.requestPermission()) === "granted");
    show();
  };
  const el = button("notify", "NOTIFY", "", () => void press(), signal);
  const show = () => {
    const denied = Notification.permission === "denied";
    el.disabled = denied;
    setAttr(el, "aria-pressed", String(on()));
    setAttr(
      el,
      "title",
      denied
        ? "this browser does not allow messages from this page"
        : "a message of the browser when an alert is raised while this page is hidden",
    );
  };
  ui.on("notify", show, signal);
  show();
  ctx.tools.append(el);
}

const alerts: View = {
  name: "alerts",
  mount(el, ctx) {
    const { live, ui, signal } = ctx;
    const book = new AlertBook();
    const note = h("div", { class: "nbm-legend", role: "status" });
    ctx.tools.before(note);
    let all = false;
    const more = button(
      "all-alerts",
      "ALL",
      "also those that are over or were put away",
      () => {
        all = !all;
        setAttr(more, "aria-pressed", String(all));
        painted.dirty();
      },
      signal,
    );
    setAttr(more, "aria-pressed", "false");
    ctx.tools.append(more);
    notifier(ctx);
    const list = h("ul", { class: "nbm-alerts" });
    const empty = h("div", { class: "nbm-empty nbm-low" });
    el.append(list, empty);
    keepKeys(el, signal);
    let shown = "";
    // Rows are made anew when something changes: their listeners end with them.
    let rows = new AbortController();
    signal.addEventListener("abort", () => rows.abort(), { once: true });
    const painted = ctx.loop.add(
      el,
      () => () => {
        book.read(live.store);
        const dismissed = ui.get("dismissed");
        const every = book.all.sort(byWeight);
        const open = every.filter((a) => asks(a, dismissed));
        const over = every.filter((a) => !asks(a, dismissed)).sort((a, b) => b.step - a.step);
        const text = JSON.stringify([open, all, over.map(dismissal), over.map((a) => a.open)]);
        if (text === shown) return;
        shown = text;
        const away = over.filter((a) => a.open).length;
        const parts = [
          `${open.length} open`,
          over.length > away && `${grouped(over.length - away)} over`,
          away > 0 && `${away} put away`,
        ];
        setText(note, every.length > 0 ? dotted(...parts) : "");
        more.hidden = over.length === 0;
        rows.abort();
        rows = new AbortController();
        const inner = { ...ctx, signal: rows.signal };
        const focused = focusOf(list);
        const rest = all ? over.slice(0, MOST) : [];
        list.replaceChildren(
          ...open.map((a) => row(inner, a, false)),
          ...rest.map((a) => row(inner, a, a.open)),
        );
        refocus(list, focused);
        list.hidden = list.children.length === 0;
        empty.hidden = !list.hidden;
        setText(
          empty,
          every.length > 0 ? "no open alert" : String(ctx.spec.options.empty ?? NOTHING),
        );
      },
      signal,
    );
    live.store.onChange(painted.dirty, signal);
    ui.on("dismissed", painted.dirty, signal);
  },
};

/** Which row holds the focus, and which of its buttons. */
function focusOf(list: HTMLElement): readonly [number, number] | null {
  const items = [...list.children];
  const at = items.findIndex((item) => item.contains(document.activeElement));
  if (at < 0) return null;
  return [at, document.activeElement?.classList.contains("nbm-away") ? 1 : 0];
}

/** Keep the keyboard where it was, or as near as can be. */
function refocus(list: HTMLElement, at: readonly [number, number] | null): void {
  if (!at) return;
  const item = list.children[Math.min(at[0], list.children.length - 1)];
  const buttons = [...(item?.querySelectorAll("button") ?? [])];
  (buttons[at[1]] ?? buttons[0])?.focus({ preventScroll: true });
}

export default alerts;
