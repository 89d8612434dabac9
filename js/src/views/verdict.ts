/** What the evidence says in a paragraph, each clause a way to the panel it comes from. */

import { dotted, grouped } from "../format";
import { h, keepKeys, onTensor, setAttr, setText, type View, type ViewContext } from "../view";

const KEY = "quality/verdict";

const NOTHING =
  "no verdict yet: it is composed from the fixed evaluation set, the patterns, the adapters and the course of the loss, as soon as one of them has been measured";

interface Clause {
  text: string;
  panel?: string | null;
  step?: number | null;
}

interface Verdict {
  text?: string;
  action?: string;
  clauses?: Clause[];
  step?: number;
  final?: boolean;
}

function clauseOf(ctx: ViewContext, { text, panel, step }: Clause): HTMLElement {
  const there = ctx.live.get("panels").find((spec) => spec.id === panel && !spec.absent);
  if (!there) return h("span", { class: "nbm-clause" }, text);
  const at = typeof step === "number" ? `, step ${grouped(step)}` : "";
  const title = `show ${there.title || there.id}${at}`;
  const link = h(
    "button",
    { type: "button", class: "nbm-clause", "data-clause": panel, title },
    text,
  );
  link.addEventListener(
    "click",
    () => ctx.ui.set("place", { panel: there.id, step: step ?? null }),
    {
      signal: ctx.signal,
    },
  );
  return link;
}

const verdict: View = {
  name: "verdict",
  mount(el, ctx) {
    const said = h("p", { class: "nbm-said", "data-readout": "verdict", "aria-live": "polite" });
    const action = h("p", { class: "nbm-action" });
    const note = h("div", { class: "nbm-legend" });
    const empty = h(
      "div",
      { class: "nbm-empty nbm-low" },
      String(ctx.spec.options.empty ?? NOTHING),
    );
    ctx.tools.before(note);
    el.append(said, action, empty);
    keepKeys(el, ctx.signal);
    let shown = "";
    const painted = ctx.loop.add(
      el,
      () => () => {
        const meta = ctx.live.store.tensor(KEY)?.meta as Verdict | undefined;
        const known = JSON.stringify([meta, ctx.live.get("panels").map((p) => [p.id, p.absent])]);
        if (known === shown) return;
        shown = known;
        const clauses = meta?.clauses ?? [];
        const none = !meta || (clauses.length === 0 && !meta.text);
        empty.hidden = !none;
        said.hidden = none;
        if (clauses.length > 0) {
          said.replaceChildren(...clauses.flatMap((clause) => [clauseOf(ctx, clause), " "]));
        } else setText(said, meta?.text ?? "");
        const todo = none ? "" : (meta?.action ?? "");
        // A text that is a whole says what to do itself.
        action.hidden = !todo || (clauses.length === 0 && (meta?.text ?? "").includes(todo));
        setText(action, todo ? `→ ${todo.replace(/^→\s*/, "")}` : "");
        const step = meta?.step === undefined ? "" : `step ${grouped(meta.step)}`;
        setText(note, none ? "" : dotted(meta?.final ? "final" : "so far", step));
        setAttr(note, "title", none ? null : "only what was measured is said");
      },
      ctx.signal,
    );
    onTensor(ctx.live, KEY, painted.dirty, ctx.signal);
    ctx.live.onTrait("panels", painted.dirty, ctx.signal);
  },
};

export default verdict;
