/**
 * What a notebook host shows of itself through `model.widget_manager`: its kernel, its document.
 * These are private interfaces of JupyterLab and Notebook: each is looked for, none is relied on.
 */

import type { AnyModel } from "@anywidget/types";
import type { KeptJson } from "./kept";
import type { SceneParts, Traits, Widgets } from "./model";
import type { Control } from "./wire.gen";

const LEFT_IN_COLAB = 20;

/** Everything that the Python side synchronises, with what a dashboard does not read. */
export interface Synced extends Traits {
  history: DataView | null;
  autosave: boolean;
  /** The widgets of the 3D scene by name, as `IPY_MODEL_<id>`. */
  scene?: Record<string, string>;
  /** What viewers chose, as the kernel knew it when the page came; older notebooks lack it. */
  kept?: KeptJson;
  /** Source of this module and of its style sheet: anywidget's own traits. */
  _esm?: string;
  _css?: string;
}

export type PageModel = AnyModel<Synced>;

type Slot = (sender: unknown, status: string) => void;

export interface Kernel {
  status?: string;
  statusChanged?: { connect(slot: Slot): unknown; disconnect(slot: Slot): unknown };
}

/** One output of a cell; `data` maps mime types to text, or to lines of it. */
export interface OutputJson {
  output_type: string;
  data?: Record<string, unknown>;
  [key: string]: unknown;
}

interface Outputs {
  length: number;
  get(i: number): { toJSON(): OutputJson };
  set(i: number, output: OutputJson): void;
}

interface Cell {
  outputs?: Outputs;
}

interface FileState {
  last_modified?: string;
  hash?: string;
}

export interface Document {
  save(): Promise<void>;
  path?: string;
  /** The file as this page last read or wrote it. */
  contentsModel?: FileState | null;
  _manager?: {
    contents?: { get?(path: string, options: object): Promise<FileState> };
  };
  model: {
    dirty?: boolean;
    readOnly?: boolean;
    cells: { length: number; get(i: number): Cell };
    setMetadata(key: string, value: unknown): void;
    getMetadata?(key: string): unknown;
  };
}

interface Manager {
  kernel?: Kernel | null;
  context?: Partial<Document>;
  get_state_sync?(options: { drop_defaults: boolean }): unknown;
}

function manager(model: PageModel): Manager | undefined {
  return model.widget_manager as unknown as Manager | undefined;
}

/** The kernel behind the page, null if the host has none, undefined if it doesn't say. */
export function kernelOf(model: PageModel): Kernel | null | undefined {
  return manager(model)?.kernel;
}

/** What the 3D scene is made of. anywidget's own `host.getModel` gives no access to its objects. */
export function scenePartsOf(model: PageModel): SceneParts {
  const found = manager(model) as (Manager & Partial<Widgets>) | undefined;
  const able = typeof found?.get_model === "function" && typeof found.create_view === "function";
  return { handles: model.get("scene") ?? {}, widgets: able ? (found as Widgets) : null };
}

/** The notebook that the widget is in, where the host lets a widget write and save it. */
export function documentOf(model: PageModel): Document | null {
  const context = manager(model)?.context;
  if (typeof context?.save !== "function" || typeof context.model?.setMetadata !== "function") {
    return null;
  }
  return context as Document;
}

/**
 * Leave a control where Colab's kernel can fetch it from a busy cell (`nbmonitor/colab.py`);
 * what is sent may wait there until the cell ends. The kernel takes a repeated one once.
 */
export function leaveInColab(model: PageModel, message: Control): void {
  const page = globalThis as { nbmonitorControls?: Record<string, Control[]> };
  page.nbmonitorControls ??= {};
  const left = page.nbmonitorControls;
  const id = model.get("picture_id");
  left[id] = [...(left[id] ?? []), message].slice(-LEFT_IN_COLAB);
}

/** Two times of one write may differ by this; JupyterLab's own measure. */
const SAME_MS = 500;

/**
 * Whether another page or program has written the notebook since this page read it: then the
 * host would ask its user which of the two shall stay. False where nobody can tell.
 */
export async function changedElsewhere(doc: Document): Promise<boolean> {
  const [known, contents] = [doc.contentsModel, doc._manager?.contents];
  if (!known || !doc.path || typeof contents?.get !== "function") return false;
  const now = await contents.get(doc.path, { content: false, hash: true });
  if (known.hash && now.hash) return known.hash !== now.hash;
  return Date.parse(now.last_modified ?? "") - Date.parse(known.last_modified ?? "") > SAME_MS;
}

/** The state of all widgets on the page, as a saved notebook holds it, or null. */
export function widgetState(model: PageModel): unknown {
  return manager(model)?.get_state_sync?.({ drop_defaults: true }) ?? null;
}
