/**
 * What a dashboard sees of its run, with or without a kernel behind it.
 * Owns the names of the synced traits; the implementations are `widget.ts` and `dev/replay.ts`.
 */

import type { Store } from "./store";
import type { Control, Detail, PanelSpec, Status } from "./wire.gen";

/** `run.config` on the Python side; every key may be missing. */
export interface RunConfig {
  name?: string;
  method?: string;
  model?: string;
  params?: number;
  trainable_params?: number;
  lora?: { r?: number; alpha?: number; adapters?: string[] };
  precision?: string;
  dataset_size?: number;
  batch_size?: number;
  gradient_accumulation_steps?: number;
  max_steps?: number;
  num_train_epochs?: number;
  device?: string;
  logging_steps?: number;
  /** Path of the file that the run is recorded in. */
  run_file?: string;
  versions?: Record<string, string>;
  [key: string]: unknown;
}

export interface Capabilities {
  host?: string;
  channel?: "subshell" | "shim" | "pump" | "none";
  reason?: string;
  /** Why the run can't be steered from here, or "". */
  controls?: string;
  [key: string]: unknown;
}

/** The synced traits that a dashboard reads. It never writes one. */
export interface Traits {
  panels: PanelSpec[];
  config: RunConfig;
  status: Status;
  theme: "neon" | "light" | "auto";
  capabilities: Capabilities;
  picture_id: string;
}

/** live: fed by a kernel · quiet: running, but silent · lost: its kernel died · saved: no kernel. */
export interface Link {
  state: "live" | "quiet" | "lost" | "saved";
  /** A sentence for the viewer, or "". */
  message: string;
  /** A lesser trouble to show in small print (say: the notebook could not be saved), or "". */
  note: string;
}

/** The bundle that draws this page, as text: what a self-contained file needs. */
export interface Source {
  module: string;
  style: string;
}

/** Jupyter's widget manager, as far as it composes the widgets of others. */
export interface Widgets {
  get_model(id: string): Promise<unknown>;
  create_view(model: unknown): Promise<unknown>;
}

/** What the 3D scene is made of. */
export interface SceneParts {
  /** References to its widgets by name; without any, `absent` says why. */
  readonly handles: Readonly<Record<string, string>>;
  /** null where the host shows no manager. */
  readonly widgets: Widgets | null;
}

/** What a viewer chose that outlives a view: a notebook renders the same model again and again. */
export interface Choices {
  readonly dismissed: ReadonlySet<string>;
  readonly notify: boolean | null;
}

/** Where choices are kept, for all views of a model. */
export interface Kept {
  readonly now: Choices;
  put(next: Partial<Choices>): void;
  onChange(fn: () => void, signal: AbortSignal): void;
}

export interface Live {
  readonly store: Store;
  /** Absent where there is but one view. */
  readonly kept?: Kept;
  readonly link: Readonly<Link>;
  get<K extends keyof Traits>(key: K): Traits[K];
  onTrait(key: keyof Traits, fn: () => void, signal: AbortSignal): void;
  onLink(fn: () => void, signal: AbortSignal): void;
  /** Ask the kernel for something; false if it can't be reached. Absent where there never is one. */
  send?(message: Control | Detail): boolean;
  /** Absent where there are no widgets at all. */
  scene?(): SceneParts;
  /** Absent or null where the host doesn't show it. */
  source?(): Source | null;
}
