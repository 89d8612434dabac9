/**
 * The module that Jupyter loads: a factory, one call per widget model.
 * `initialize` builds the session, `render` mounts a dashboard on it. No state outside.
 */

import { showDashboard } from "./dashboard";
import type { PageModel } from "./host";
import { Persistence } from "./persist";
import { Session } from "./session";
import "./theme.css";

export { mountStandalone } from "./standalone";

interface Owner {
  session: Session;
  persistence: Persistence;
  close: () => void;
}

function open(model: PageModel): Owner {
  const controller = new AbortController();
  const session = new Session(model, controller.signal);
  const persistence = new Persistence(model, session);
  return { session, persistence, close: () => controller.abort() };
}

/** Hide the static picture beside the live dashboard. */
function hideStatic(id: string): HTMLStyleElement {
  const style = document.createElement("style");
  style.textContent = `[data-nbmonitor-static=${JSON.stringify(id)}]{display:none!important}`;
  document.head.append(style);
  return style;
}

export default () => {
  let owner: Owner | undefined;
  let hidden: HTMLStyleElement | undefined;

  return {
    initialize({ model }: { model: PageModel }) {
      const opened = open(model);
      owner = opened;
      return () => {
        opened.close();
        hidden?.remove();
        if (owner === opened) owner = undefined;
      };
    },

    render({ model, el }: { model: PageModel; el: HTMLElement }) {
      owner ??= open(model);
      const { session, persistence } = owner;
      const view = new AbortController();
      const leave = () => view.abort();
      session.signal.addEventListener("abort", leave, { once: true, signal: view.signal });
      session.addView(view.signal);
      const id = model.get("picture_id");
      if (id) hidden ??= hideStatic(id);
      view.signal.addEventListener("abort", () => {
        if (session.views > 0) return;
        hidden?.remove();
        hidden = undefined;
      });
      showDashboard(el, session, view.signal);
      persistence.start();
      return leave;
    },
  };
};
