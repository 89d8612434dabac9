/** The replay page: mounts the real dashboard on a synthetic run. `window.replay` drives it. */

import { mountDashboard } from "../src/shell/mount";
import { readOptions } from "./options";
import { Replay } from "./replay";
import "../src/theme.css";

const options = readOptions(location.search);
const replay = new Replay(options);
const controller = new AbortController();
const views = document.querySelector<HTMLElement>("#views");
if (options.theme === "neon") document.body.classList.add("dark");

for (let i = 0; views && i < options.views; i++) {
  const el = document.createElement("div");
  if (options.width) el.style.width = `${options.width}px`;
  views.append(el);
  mountDashboard(el, replay, controller.signal);
  const tab = [...el.querySelectorAll<HTMLElement>('[role="tab"]')].find(
    (t) => options.tab && t.textContent?.trim().toLowerCase() === options.tab.toLowerCase(),
  );
  tab?.click();
}

if (options.live > 0) {
  const timer = setInterval(() => {
    const step = Math.min(options.total, replay.step + Math.max(1, Math.round(options.live / 20)));
    replay.advance(step);
    if (step >= options.total) clearInterval(timer);
  }, 1000 / Math.min(20, options.live));
  controller.signal.addEventListener("abort", () => clearInterval(timer));
}

Object.assign(window, { replay, unmount: () => controller.abort() });
