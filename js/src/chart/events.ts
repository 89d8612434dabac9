/**
 * Which events a chart shows, how each looks, and what they say where a viewer points.
 * Pure: the drawing is in `markers.ts`, the events themselves stay in the store.
 */

import { grouped } from "../format";
import type { Palette } from "../paint";
import type { RunEvent } from "../wire.gen";

export type Sign = "diamond" | "bars" | "play" | "disk" | "circle" | "alert" | "cross";

export interface EventLook {
  color: string;
  sign: Sign;
  /** A line through the plot rather than a tick under the sign. */
  line: boolean;
  /** Of two signs in one place, the one with the higher rank is drawn. */
  rank: number;
}

/** How an event is drawn on a chart, or null if it is only listed. */
export function eventLook(event: RunEvent, palette: Palette): EventLook | null {
  const { data } = event;
  switch (event.kind) {
    case "resumed":
    case "resume":
      return { color: palette.gauge, sign: "play", line: true, rank: 3 };
    case "status": {
      const status = String(data.status);
      if (status === "paused") return { color: palette.warn, sign: "bars", line: true, rank: 2 };
      const ended = status === "failed" || status === "interrupted";
      return ended ? { color: palette.hot, sign: "cross", line: true, rank: 6 } : null;
    }
    case "control": {
      const name = String(data.name);
      if (name === "pause") return { color: palette.warn, sign: "bars", line: true, rank: 4 };
      const sign = name === "resume" ? "play" : "diamond";
      return { color: palette.readout, sign, line: true, rank: 4 };
    }
    case "checkpoint":
      return { color: palette.gauge, sign: "disk", line: false, rank: 1 };
    case "evaluate":
      return { color: palette.eval, sign: "circle", line: false, rank: 0 };
    case "alert": {
      // That it is over is told in the list; a chart has enough signs.
      if (data.state === "cleared") return null;
      const color = { critical: palette.hot, info: palette.gauge }[String(data.severity)];
      return { color: color ?? palette.warn, sign: "alert", line: true, rank: 5 };
    }
    case "probe_error":
      return { color: palette.warn, sign: "alert", line: true, rank: 5 };
    default:
      return null;
  }
}

/** What a marker says: the event's own message, else its kind. */
export function eventText(event: RunEvent): string {
  const { message, title, status, path, name } = event.data;
  const parts = [event.kind === "alert" ? title : "", message || event.data.text]
    .filter(Boolean)
    .map(String);
  if (parts.length === 0) {
    const rest = [status, name, path].find((part) => typeof part === "string" && part);
    parts.push(
      event.kind === "status"
        ? String(rest ?? "status")
        : [event.kind, rest].filter(Boolean).join(" "),
    );
  }
  return parts.join(": ");
}

export interface Nearby {
  step: number;
  /** One line per event, the weightiest first. */
  lines: string[];
  more: number;
}

const MOST = 3;

/** The drawn events within `reach` of `x`, for whoever points there; null if there are none. */
export function nearby(
  all: readonly RunEvent[],
  palette: Palette,
  x: number,
  reach: number,
): Nearby | null {
  const found: { event: RunEvent; rank: number }[] = [];
  for (const event of all) {
    if (Math.abs(event.step - x) > reach) continue;
    const look = eventLook(event, palette);
    if (look) found.push({ event, rank: look.rank });
  }
  if (found.length === 0) return null;
  const nearest = found.reduce((a, b) =>
    Math.abs(b.event.step - x) < Math.abs(a.event.step - x) ? b : a,
  ).event.step;
  found.sort((a, b) => b.rank - a.rank);
  const texts = [
    ...new Set(found.map(({ event }) => `${grouped(event.step)} · ${eventText(event)}`)),
  ];
  return { step: nearest, lines: texts.slice(0, MOST), more: Math.max(0, texts.length - MOST) };
}
