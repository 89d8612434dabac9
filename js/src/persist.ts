/**
 * Keeps the run in the saved notebook: widget state, our static picture, then a save.
 * Works where the host shows its document (JupyterLab, Notebook); elsewhere it does nothing.
 */

import {
  changedElsewhere,
  type Document,
  documentOf,
  type OutputJson,
  type PageModel,
  type Synced,
  widgetState,
} from "./host";
import type { Session } from "./session";

const STATE_MIME = "application/vnd.jupyter.widget-state+json";
const PICTURE = "nbmonitor/picture";
const FIRST_MS = 500;
const EVERY_MS = 60_000;
/** How long to wait for the final history before saving without it. */
const HISTORY_MS = 3000;
/** How long a page that was reloaded, or is the second one, lets another save first: at least, at most. */
const BEHIND_MS = [1000, 2500] as const;
const OVER = new Set(["finished", "interrupted", "failed"]);

/** The part of a notebook's `widgets` metadata that is looked at. */
interface SavedWidgets {
  [STATE_MIME]?: {
    state?: Record<string, { state?: Partial<Pick<Synced, "picture_id" | "status">> }>;
  };
}

function text(value: unknown): string {
  return Array.isArray(value) ? value.join("") : typeof value === "string" ? value : "";
}

function base64(bytes: Uint8Array): string {
  let out = "";
  // In slices: a call takes only so many arguments. 0x8000 is a safe number of them.
  for (let i = 0; i < bytes.length; i += 0x8000) {
    out += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(out);
}

/** The static output as the notebook keeps it: the same as Python's own, with the newest picture. */
export function withPicture(output: OutputJson, id: string, png: string, alt: string): OutputJson {
  const escaped = alt.replace(/&/g, "&amp;").replace(/"/g, "&quot;").replace(/</g, "&lt;");
  const img = `<img alt="${escaped}" src="data:image/png;base64,${png}">`;
  const html = `<div class="nbmonitor-static" data-nbmonitor-static="${id}">${img}</div>`;
  const data = { ...output.data, "text/html": html, "image/png": png, "text/plain": alt };
  return { ...output, data };
}

/** Put the picture into every output that carries our id. */
function rewrite(doc: Document, id: string, png: string, alt: string): void {
  const mark = `data-nbmonitor-static="${id}"`;
  const { cells } = doc.model;
  for (let c = 0; c < cells.length; c++) {
    const outputs = cells.get(c).outputs;
    for (let o = 0; outputs && o < outputs.length; o++) {
      const output = outputs.get(o).toJSON();
      const now = output.data;
      if (!now || !text(now["text/html"]).includes(mark)) continue;
      if (text(now["image/png"]).trim() === png) continue;
      outputs.set(o, withPicture(output, id, png, alt));
    }
  }
}

/** How long one widget waits for another that saves. */
const TURN_MS = 10_000;

/**
 * Widgets of a page save their notebook one after the other: two at once look to the host like a
 * stranger's write, and it asks its user. Each has a module of its own: they share the page.
 */
async function inTurn(save: () => Promise<void>): Promise<void> {
  const page = globalThis as { nbmonitorSaving?: Promise<void> | undefined };
  const before = page.nbmonitorSaving;
  const own = (async () => {
    if (before) await Promise.race([before, new Promise((go) => setTimeout(go, TURN_MS))]);
    await save();
  })();
  const settled = own.catch(() => {});
  page.nbmonitorSaving = settled;
  try {
    await own;
  } finally {
    if (page.nbmonitorSaving === settled) page.nbmonitorSaving = undefined;
  }
}

export class Persistence {
  readonly #model: PageModel;
  readonly #session: Session;
  #started = false;
  #failed = false;
  #saving = false;
  #again = false;
  #lastSave = 0;
  #over: boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(model: PageModel, session: Session) {
    this.#model = model;
    this.#session = session;
    this.#over = this.#isOver();
  }

  /** Call at each render: the first one saves the new output, so that a reload finds it. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    const { signal } = this.#session;
    this.#session.onTrait("status", () => this.#onStatus(), signal);
    const onHistory = () => this.#onHistory();
    this.#model.on("change:history", onHistory);
    signal.addEventListener(
      "abort",
      () => {
        this.#model.off("change:history", onHistory);
        clearTimeout(this.#timer);
      },
      { once: true },
    );
    // A notebook that was just opened is clean, and there is nothing new to keep, unless
    // the run went on while no page was open.
    this.#later(FIRST_MS, () => {
      const doc = documentOf(this.#model);
      return doc?.model.dirty === true || (doc !== null && this.#over && !this.#kept(doc));
    });
  }

  /** Whether the notebook's own metadata already holds this widget as it is now. */
  #kept(doc: Document): boolean {
    const widgets = doc.model.getMetadata?.("widgets") as SavedWidgets | undefined;
    const id = this.#model.get("picture_id");
    return Object.values(widgets?.[STATE_MIME]?.state ?? {}).some(
      ({ state }) => state?.picture_id === id && OVER.has(state?.status?.state ?? ""),
    );
  }

  #isOver(): boolean {
    return OVER.has(this.#model.get("status")?.state ?? "");
  }

  #onStatus(): void {
    const over = this.#isOver();
    if (over && !this.#over) this.#later(HISTORY_MS, () => true);
    this.#over = over;
  }

  /** One page after the other: the second one then sees that the notebook is saved. */
  #turn(): number {
    if (!this.#session.restored) return 0;
    return BEHIND_MS[0] + Math.random() * (BEHIND_MS[1] - BEHIND_MS[0]);
  }

  #onHistory(): void {
    if (this.#over) this.#later(this.#turn(), () => true);
    else if (Date.now() - this.#lastSave >= EVERY_MS) void this.#save();
  }

  #later(ms: number, wanted: () => boolean): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (wanted()) void this.#save();
    }, ms);
  }

  async #save(): Promise<void> {
    if (this.#failed || this.#model.get("autosave") === false) return;
    if (this.#session.link.state === "saved") return;
    this.#again = this.#saving;
    if (this.#saving) return;
    this.#saving = true;
    try {
      await inTurn(() => this.#write());
    } catch (error) {
      this.#failed = true;
      this.#session.link.complain(`the notebook was not saved: ${String(error)}`);
    } finally {
      this.#saving = false;
      if (this.#again) void this.#save();
    }
  }

  async #write(): Promise<void> {
    const doc = documentOf(this.#model);
    if (!doc || doc.model.readOnly || (await changedElsewhere(doc))) return;
    this.#lastSave = Date.now();
    const state = widgetState(this.#model);
    if (state) doc.model.setMetadata("widgets", { [STATE_MIME]: state });
    this.#picture(doc);
    await doc.save();
  }

  #picture(doc: Document): void {
    const picture = this.#session.store.tensor(PICTURE);
    const id = this.#model.get("picture_id");
    if (!id || !(picture?.data instanceof Uint8Array)) return;
    const alt = text(picture.meta.alt) || `Training run at step ${picture.step}`;
    rewrite(doc, id, base64(picture.data), alt);
  }
}
