// Generated from nbmonitor/wire.py by scripts/wire_types.py. Edit the Python, then run it.

export const VERSION = 1;
export const REGULAR = 1;
export const BUCKETS = 2;
export const NAN = 1;
export const POS_INF = 2;
export const NEG_INF = 4;
export const HISTORY_MAGIC = "NBM1";

/** A scalar series as the page knows it. `id` is its index in the Run. */
export interface SeriesSpec {
  id: number;
  key: string;
  label: string;
  unit: string;
}

/** What a viewer sees. `absent` is the reason why there is nothing to show, or "". */
export interface PanelSpec {
  id: string;
  title: string;
  view: string;
  keys: string[];
  tab: string;
  order: number;
  span: number;
  absent: string;
  options: Record<string, unknown>;
}

/** Something that happened at a step: status, note, nonfinite, alert, and the like. */
export interface RunEvent {
  kind: string;
  step: number;
  time: number;
  data: Record<string, unknown>;
}

/** The `status` trait: state is one of `run.STATUSES`; message says why, or "". */
export interface Status {
  state: string;
  message: string;
  detail: string;
  total_steps: number;
  total_epochs: number;
}

/** New rows; buffer 0 is a frame. A new `generation` means: forget all and start over. */
export interface Append {
  kind: "append";
  seq: number;
  generation: number;
  declare: SeriesSpec[];
}

/** The latest value of a tensor; buffer 0 is its bytes, C order, little-endian. With `reel` in its meta, it is one of many: each is kept, by step, and they come in any order, but none before the one at the step that its meta names as `base`. */
export interface Put {
  kind: "put";
  seq: number;
  generation: number;
  key: string;
  step: number;
  dtype: string;
  shape: number[];
  meta: Record<string, unknown>;
}

/** New events; `offset` is the number of events before the first of them. */
export interface Events {
  kind: "event";
  seq: number;
  generation: number;
  offset: number;
  events: RunEvent[];
}

/** A page that starts, wakes or found a gap: rows per series id, events, steps per reel. A *reel* is a tensor of which every value is kept: its `put` has `reel` in its meta. */
export interface Hello {
  kind: "hello";
  generation: number;
  have: Record<string, number>;
  events: number;
  reels?: Record<string, number[]>;
}

/** A page that is looking, every two seconds. */
export interface Ack {
  kind: "ack";
  seq: number;
}

/** A wish of the viewer: `name` is one of `controls.NAMES`; `id` is the page's own. */
export interface Control {
  kind: "control";
  id: string;
  name: string;
  value: unknown;
}

/** A page that has zoomed in and holds buckets there: steps from `start` to `end`. */
export interface Detail {
  kind: "detail";
  id: string;
  keys: string[];
  start: number;
  end: number;
  points: number;
}

/** What a viewer chose, for a page that comes later: an alert put away, messages or none. */
export interface Keep {
  kind: "keep";
  name: "dismissed" | "notify";
  id: string;
  on: boolean;
}

/** Head of the `history` trait: magic, u32 length, this as JSON padded to 8, a frame. After the frame, which takes `frame_bytes`, stand the bytes of each of `tensors`, padded to 8. Histories of older notebooks have neither of the two. */
export interface HistoryHeader {
  generation: number;
  seq: number;
  declare: SeriesSpec[];
  events: RunEvent[];
  events_offset: number;
  frame_bytes?: number;
  tensors?: Put[];
}

export type ToPage = Append | Put | Events;

export type FromPage = Hello | Ack | Control | Detail | Keep;
