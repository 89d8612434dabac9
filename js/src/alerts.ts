/**
 * Alerts as a viewer thinks of them: one per condition, open or over, however often it was told.
 * Owns the folding of events; draws nothing, asks for nothing.
 */

import type { Store } from "./store";
import type { RunEvent } from "./wire.gen";

export type Severity = "info" | "warning" | "critical";

export interface Alert {
  /** Stable for one condition; alerts without an id are told apart by title and message. */
  readonly id: string;
  readonly severity: Severity;
  /** Whether the condition holds, as far as was told. */
  readonly open: boolean;
  readonly title: string;
  /** What was measured. */
  readonly message: string;
  /** What to do. */
  readonly action: string;
  readonly rule: string;
  readonly key: string | null;
  readonly panel: string | null;
  readonly window: readonly [number, number] | null;
  readonly confidence: number | null;
  /** Step and time of the latest raise. */
  readonly step: number;
  readonly time: number;
  /** Step at which it was over, or null. */
  readonly cleared: number | null;
  /** How often it was raised, cleared in between. */
  readonly raises: number;
}

const WEIGHT: Record<Severity, number> = { critical: 2, warning: 1, info: 0 };

const text = (value: unknown) => (typeof value === "string" ? value : "");
const name = (value: unknown) => text(value) || null;
const finite = (value: unknown) =>
  typeof value === "number" && Number.isFinite(value) ? value : null;

function severityOf(data: RunEvent["data"]): Severity {
  const given = text(data.severity) || text(data.level);
  if (given === "critical" || given === "error" || given === "failed") return "critical";
  return given === "info" ? "info" : "warning";
}

function windowOf(value: unknown): readonly [number, number] | null {
  if (!Array.isArray(value)) return null;
  const [from, to] = [finite(value[0]), finite(value[1])];
  return from === null || to === null || to < from ? null : [from, to];
}

/** Name under which a viewer dismisses it: the next raise of the same condition is a new one. */
export function dismissal(alert: Alert): string {
  return `${alert.id}#${alert.raises}`;
}

/** Whether it still asks for a look. */
export function asks(alert: Alert, dismissed: ReadonlySet<string>): boolean {
  return alert.open && !dismissed.has(dismissal(alert));
}

/** The weightiest first, of equal ones the newest. */
export function byWeight(a: Alert, b: Alert): number {
  return WEIGHT[b.severity] - WEIGHT[a.severity] || b.step - a.step || b.time - a.time;
}

/** Of alerts that deserve a number beside the title: how many, and how bad the worst is. */
export function counted(
  all: readonly Alert[],
  dismissed: ReadonlySet<string>,
): { count: number; worst: Severity } {
  const asking = all.filter((a) => a.severity !== "info" && asks(a, dismissed));
  const worst = asking.some((a) => a.severity === "critical") ? "critical" : "warning";
  return { count: asking.length, worst };
}

/** Follows the events of a store; reads each of them once. */
export class AlertBook {
  readonly #alerts = new Map<string, Alert>();
  #seen = 0;
  #generation = -1;

  get all(): Alert[] {
    return [...this.#alerts.values()];
  }

  /** Take what is new in `store`; returns the alerts that were raised since the last time. */
  read(store: Store): Alert[] {
    const { events, generation } = store;
    if (generation !== this.#generation || events.length < this.#seen) {
      this.#alerts.clear();
      this.#seen = 0;
      this.#generation = generation;
    }
    const raised = new Map<string, Alert>();
    for (; this.#seen < events.length; this.#seen++) {
      const event = events[this.#seen]!;
      if (event.kind !== "alert") continue;
      const alert = this.#take(event);
      if (!alert.open) raised.delete(alert.id);
      else if (alert.raises !== this.#alerts.get(alert.id)?.raises) raised.set(alert.id, alert);
      this.#alerts.set(alert.id, alert);
    }
    return [...raised.values()];
  }

  #take({ data, step, time }: RunEvent): Alert {
    const title = text(data.title) || "alert";
    const id = text(data.id) || `${title}: ${text(data.message)}`;
    const before = this.#alerts.get(id);
    if (data.state === "cleared" && before) {
      return { ...before, open: false, cleared: step };
    }
    // Told again while it holds: the same alert, with newer figures.
    const again = before?.open === true;
    const severity = severityOf(data);
    // What has become graver is news, also to a viewer who had put it away.
    const graver = again && WEIGHT[severity] > WEIGHT[before.severity];
    return {
      id,
      severity,
      open: data.state !== "cleared",
      title,
      message: text(data.message) || text(data.text),
      action: text(data.action),
      rule: text(data.rule),
      key: name(data.key),
      panel: name(data.panel),
      window: windowOf(data.window),
      confidence: finite(data.confidence),
      step: again ? before.step : step,
      time: again ? before.time : time,
      cleared: data.state === "cleared" ? step : null,
      raises: (before?.raises ?? 0) + (again && !graver ? 0 : 1),
    };
  }
}
