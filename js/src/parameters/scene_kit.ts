/**
 * pythreejs' Renderer put into an element of ours, and the three.js classes behind its objects.
 * Every step that can fail says why in a sentence: the flat stage shows it.
 *
 * The widgets come from the raw `widget_manager`, because anywidget's own interface hands out
 * proxies without the three.js objects. Nothing is ever set on a model: that would send it to
 * the kernel, 35 MB for a minute of playback.
 */

import type { SceneParts, Widgets } from "../model";
import type { Palette } from "../paint";
import type { Background, Camera, Node3, Three, WebGLRenderer } from "./scene_three";

const PATIENCE_MS = 8000;

/** A model of pythreejs: `obj` is the three.js object. */
interface ThreeModel<T = unknown> {
  initPromise?: Promise<unknown>;
  obj: T;
  get(name: string): unknown;
  set(name: string, value: unknown): void;
}

/** pythreejs' view of a Renderer, as far as it is used. */
export interface RendererView {
  readonly el: HTMLElement;
  readonly model: ThreeModel;
  renderer: WebGLRenderer | null;
  isFrozen: boolean;
  camera: Camera;
  _ticking: boolean;
  tock(): void;
  debug(text: string): void;
  renderScene(scene: Node3, camera: Camera): void;
  trigger(event: string): void;
  stopListening(): void;
  remove(): void;
}

export interface Kit {
  readonly three: Three;
  readonly view: RendererView;
  /** The scene that `monitor.scene3d` shows: what a user adds to it stands beside ours. */
  readonly scene: Node3 & Background;
  /** A camera of this view's own. */
  readonly camera: Camera;
  /** Drawn by the processor: no antialiasing, fewer points. */
  readonly software: boolean;
  /** Colours of the present theme. */
  readonly palette: () => Palette;
}

/** Name of what draws, or null where there is no WebGL. */
export function graphics(): string | null {
  try {
    const canvas = document.createElement("canvas");
    const gl = (canvas.getContext("webgl2") ??
      canvas.getContext("webgl")) as WebGLRenderingContext | null;
    if (!gl) return null;
    const info = gl.getExtension("WEBGL_debug_renderer_info");
    const name = info ? String(gl.getParameter(info.UNMASKED_RENDERER_WEBGL)) : "";
    // A browser gives out only so many contexts.
    gl.getExtension("WEBGL_lose_context")?.loseContext();
    return name;
  } catch {
    return null;
  }
}

function within<T>(promise: Promise<T>, what: string): Promise<T> {
  return new Promise((done, fail) => {
    const late = () => fail(new Error(`${what} did not answer within ${PATIENCE_MS / 1000} s`));
    const timer = setTimeout(late, PATIENCE_MS);
    promise.then(done, fail).finally(() => clearTimeout(timer));
  });
}

async function modelOf(widgets: Widgets, reference: string): Promise<ThreeModel> {
  const id = reference.replace(/^IPY_MODEL_/, "");
  const model = (await within(widgets.get_model(id), "the 3D scene")) as ThreeModel | undefined;
  // Without its extension a host resolves with a model that shows an error.
  if (typeof model?.initPromise?.then !== "function") {
    throw new Error("the 3D scene needs pythreejs' extension in this host, and it isn't there");
  }
  await within(model.initPromise, "pythreejs");
  return model;
}

/** The class of an object. */
function classOf<T>(model: ThreeModel | undefined): T {
  return (model!.obj as { constructor: unknown }).constructor as T;
}

function classes(models: Record<string, ThreeModel | undefined>): Three {
  const Points = classOf<Three["Points"]>(models.points);
  return {
    Points,
    // All that is drawn derives from Object3D, which a group is nothing more than.
    Group: (Object.getPrototypeOf(Points.prototype) as { constructor: Three["Group"] }).constructor,
    Mesh: classOf(models.mesh),
    Lines: classOf(models.lines),
    Geometry: classOf(models.geometry),
    Attribute: classOf(models.position),
    Material: classOf(models.material),
    Texture: classOf(models.texture),
  };
}

/**
 * Put the Renderer into `el`.
 *
 * Throws an Error whose message tells a viewer why there is no 3D scene.
 */
export async function openKit(
  el: HTMLElement,
  parts: SceneParts | null,
  palette: () => Palette,
  signal: AbortSignal,
): Promise<Kit> {
  if (!parts) throw new Error("the 3D scene needs a notebook: this page has no widgets");
  if (parts.handles.absent) throw new Error(parts.handles.absent);
  if (!parts.handles.renderer) throw new Error("this run was saved without a 3D scene");
  const drawn = graphics();
  if (drawn === null) throw new Error("the 3D scene needs WebGL, which this browser doesn't give");
  const { widgets } = parts;
  if (!widgets) throw new Error("the 3D scene needs Jupyter's widget manager, which isn't here");
  const named = Object.entries(parts.handles);
  const found = await Promise.all(named.map(([, ref]) => modelOf(widgets, ref)));
  const models = Object.fromEntries(named.map(([name], i) => [name, found[i]]));
  const software = /swiftshader|llvmpipe|software|basic render/i.test(drawn);
  const model = models.renderer!;
  // Smooth edges cost the processor half of its frames.
  model.set("_antialias", !software);
  const view = (await within(widgets.create_view(model), "pythreejs' view")) as RendererView;
  if (signal.aborted || !view.renderer) {
    const said = view.el?.textContent?.trim();
    view.remove();
    throw new Error(
      signal.aborted ? "closed" : `pythreejs can't draw here: ${said || "no reason"}`,
    );
  }
  // It writes to the console with each frame: half of the time that a frame takes.
  view.debug = () => {};
  el.append(view.el);
  view.trigger("displayed");
  const camera = (models.camera!.obj as Camera).clone();
  view.camera = camera;
  return {
    three: classes(models),
    view,
    scene: models.scene!.obj as Kit["scene"],
    camera,
    software,
    palette,
  };
}
