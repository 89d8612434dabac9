/** What the viewer does with the flat stage's two parts: turning the cloud, moving in the stack, flights. */

import {
  between,
  type Camera,
  Flight,
  HOME,
  PLANES,
  type PlaneName,
  shifted,
  turned,
  type Vec3,
  wantsStill,
  zoomed,
} from "./camera";
import { type Place, type Stack, TOP } from "./flat_planes";
import type { Layout } from "./planes";
import { type Box, unitOf } from "./splat";

const FLIGHT = 700;
/** From how near a token is looked at. */
const CLOSE = 5;

/** The two parts of the stage in CSS pixels; null where there is nothing to show. */
export interface Parts {
  readonly cloud: Box | null;
  readonly stack: Box | null;
}

const GAP = 14;
/** From this width on the parts lie side by side. */
const WIDE = 700;

/** Share the stage between the two. */
export function partsOf(width: number, height: number, cloud: boolean, stack: boolean): Parts {
  const all: Box = { left: 0, top: 0, width, height };
  if (!cloud || !stack) return { cloud: cloud ? all : null, stack: stack ? all : null };
  if (width >= WIDE) {
    const left = Math.round((width - GAP) * 0.56);
    return {
      cloud: { ...all, width: left },
      stack: { ...all, left: left + GAP, width: width - left - GAP },
    };
  }
  const top = Math.round((height - GAP) * 0.52);
  return {
    cloud: { ...all, height: top },
    stack: { ...all, top: top + GAP, height: height - top - GAP },
  };
}

export function within(box: Box | null, x: number, y: number): boolean {
  return (
    box !== null &&
    x >= box.left &&
    y >= box.top &&
    x < box.left + box.width &&
    y < box.top + box.height
  );
}

function mixPlaces(a: Place, b: Place, part: number): Place {
  const mix = (p: number, q: number) => p + (q - p) * part;
  return { x: mix(a.x, b.x), y: mix(a.y, b.y), zoom: a.zoom * (b.zoom / a.zoom) ** part };
}

/** Where the viewer stands, and where they are being taken. */
export class FlatView {
  camera: Camera = HOME;
  parts: Parts = { cloud: null, stack: null };
  #cameraFlight: Flight<Camera> | null = null;
  #placeFlight: Flight<Place> | null = null;
  /** The layer that is looked at, and the layout in which it was found. */
  #layer: { readonly layer: number; layout: Layout | null } | null = null;

  constructor(private readonly stack: Stack) {}

  /** Go on with the flights; whether any is still under way. */
  advance(now: number): boolean {
    if (this.#layer && this.#layer.layout !== this.stack.layout) {
      this.#layer.layout = this.stack.layout;
      const place = this.stack.placeOf(this.#layer.layer);
      if (place) this.#place(place);
    }
    if (this.#cameraFlight) {
      this.camera = this.#cameraFlight.at(now);
      if (this.#cameraFlight.over(now)) this.#cameraFlight = null;
    }
    if (this.#placeFlight) {
      this.stack.place = this.#placeFlight.at(now);
      if (this.#placeFlight.over(now)) this.#placeFlight = null;
    }
    return this.#cameraFlight !== null || this.#placeFlight !== null;
  }

  drag(dx: number, dy: number, x0: number, y0: number, shift: boolean): void {
    const { cloud, stack } = this.parts;
    if (within(stack, x0, y0)) {
      this.#placeFlight = this.#layer = null;
      this.stack.place = this.stack.moved(dx, dy);
    } else if (cloud && within(cloud, x0, y0)) {
      this.#cameraFlight = null;
      const unit = unitOf(this.camera, cloud);
      this.camera = shift
        ? shifted(this.camera, -dx / unit, dy / unit)
        : turned(this.camera, dx, dy);
    }
  }

  zoom(factor: number, x: number, y: number): void {
    const { cloud, stack } = this.parts;
    if (within(stack, x, y)) {
      this.#placeFlight = this.#layer = null;
      this.stack.place = this.stack.zoomed(factor, x, y);
    } else if (cloud && within(cloud, x, y)) {
      this.#cameraFlight = null;
      const unit = unitOf(this.camera, cloud);
      const right = (x - cloud.left - cloud.width / 2) / unit;
      const up = (cloud.top + cloud.height / 2 - y) / unit;
      this.camera = zoomed(this.camera, factor, right, up);
    }
  }

  /** Look at a place in space, in radii. */
  toPoint(point: Vec3): void {
    this.#fly({ ...this.camera, centre: point, zoom: Math.max(CLOSE, this.camera.zoom) });
  }

  /** Look at a layer, also after a change of what is visible, until the viewer moves the stack. */
  toLayer(layer: number): void {
    this.#layer = { layer, layout: null };
  }

  /** The layer that is looked at, if any. */
  get layer(): number | null {
    return this.#layer?.layer ?? null;
  }

  /** Be there at once, wherever a flight was going. */
  stand(camera: Camera, place: Place | null): void {
    this.#cameraFlight = null;
    this.camera = camera;
    if (!place) return;
    this.#placeFlight = this.#layer = null;
    this.stack.place = place;
  }

  /** Along an axis: a projection onto two components. */
  toPlane(name: PlaneName): void {
    this.#fly({ ...this.camera, ...PLANES[name] });
  }

  /** Back to a view of all three components, and of the stack from its top. */
  home(): void {
    this.#fly(HOME);
    this.#layer = null;
    this.#place(TOP);
  }

  /** The projection that is shown, or null if it is none of the three. */
  get plane(): PlaneName | null {
    const names = Object.keys(PLANES) as PlaneName[];
    const near = (p: number, q: number) => Math.abs(p - q) < 1e-6;
    const { yaw, pitch } = this.camera;
    return (
      names.find((name) => near(PLANES[name].yaw, yaw) && near(PLANES[name].pitch, pitch)) ?? null
    );
  }

  /** Do what a key asks for; false if it asks for nothing. */
  key(key: string): boolean {
    const { cloud, stack } = this.parts;
    const box = cloud ?? stack;
    if (!box) return false;
    const middle = [box.left + box.width / 2, box.top + box.height / 2] as const;
    const steps: Record<string, readonly [number, number]> = {
      ArrowLeft: [-30, 0],
      ArrowRight: [30, 0],
      ArrowUp: [0, -30],
      ArrowDown: [0, 30],
    };
    const step = steps[key];
    const projection = (Object.keys(PLANES) as PlaneName[])[Number(key) - 1];
    if (step) this.drag(step[0], step[1], middle[0], middle[1], false);
    else if (key === "+" || key === "=") this.zoom(1.3, ...middle);
    else if (key === "-") this.zoom(1 / 1.3, ...middle);
    else if (key === "0" || key === "Home") this.home();
    else if (projection) this.toPlane(projection);
    else return false;
    return true;
  }

  #place(to: Place): void {
    this.#placeFlight = new Flight(this.stack.place, to, mixPlaces, FLIGHT, wantsStill());
  }

  #fly(to: Camera): void {
    this.#cameraFlight = new Flight(this.camera, to, between, FLIGHT, wantsStill());
  }
}
