/** Parameters over a training: embeddings and weights, filtered and played back. Opened when seen. */

import open from "../parameters/tab?packed";
import { h, onResize, setText, type View, type ViewContext } from "../view";

async function show(el: HTMLElement, waiting: HTMLElement, ctx: ViewContext): Promise<void> {
  try {
    const { mountTab } = await open();
    if (ctx.signal.aborted) return;
    waiting.remove();
    mountTab(el, ctx);
  } catch (error) {
    setText(waiting, `the Parameters tab cannot be opened here: ${(error as Error).message}`);
  }
}

const parameters: View = {
  name: "parameters",
  mount(el, ctx) {
    const waiting = h("div", { class: "nbm-empty" }, "opening…");
    el.append(waiting);
    const seen = new AbortController();
    ctx.signal.addEventListener("abort", () => seen.abort(), { once: true, signal: seen.signal });
    // An element in a tab that nobody looks at has no size.
    onResize(
      waiting,
      () => {
        seen.abort();
        void show(el, waiting, ctx);
      },
      seen.signal,
    );
  },
};

export default parameters;
