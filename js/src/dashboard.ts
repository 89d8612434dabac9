/**
 * Opens the dashboard, which travels packed, and shows a run in it. What a widget does from its
 * first moment on (`session.ts`) waits for nothing; what draws is unpacked when there is a view.
 */

import type { Live } from "./model";
import open from "./shell/mount?packed";

/** Show `live` in `el` until `signal` aborts. */
export function showDashboard(el: HTMLElement, live: Live, signal: AbortSignal): void {
  void open().then(
    ({ mountDashboard }) => mountDashboard(el, live, signal),
    (error: Error) => {
      if (!signal.aborted) el.textContent = `nbmonitor cannot be shown here: ${error.message}`;
    },
  );
}
