/** One line for what has just happened, said aloud as well, and gone after a while. */

import { h, setAttr, setText } from "../view";

export type Tone = "plain" | "wait" | "good" | "bad";

export interface Notice {
  readonly el: HTMLElement;
  /** Show `text` for some seconds; a bad one stays longer, a waiting one until the next. */
  say(text: string, tone: Tone): void;
}

const STAY_MS: Record<Tone, number> = { plain: 6000, wait: 0, good: 6000, bad: 20_000 };

export function makeNotice(signal: AbortSignal): Notice {
  const el = h("span", { class: "nbm-notice", role: "status", "aria-live": "polite" });
  let timer: ReturnType<typeof setTimeout> | undefined;
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  return {
    el,
    say(text, tone) {
      if (signal.aborted) return;
      clearTimeout(timer);
      setText(el, text);
      setAttr(el, "title", text || null);
      setAttr(el, "data-tone", tone);
      const stay = STAY_MS[tone];
      if (stay > 0) timer = setTimeout(() => setText(el, ""), stay);
    },
  };
}
