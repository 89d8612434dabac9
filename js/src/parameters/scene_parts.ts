/** Everything that is drawn, made for one model, in a group of its own in pythreejs' scene. */

import { colorTable, type Palette, rgb } from "../paint";
import { Clusterer, type Clusters } from "./cluster";
import { type Range, tablesOf } from "./colour";
import type { Shown } from "./flat_cloud";
import type { Pose } from "./scene_camera";
import { Cloud } from "./scene_cloud";
import {
  cloudColours,
  type Ends,
  positionEnds,
  positionStops,
  reachOf,
  sheetColours,
  tokenEnds,
} from "./scene_columns";
import type { Kit } from "./scene_kit";
import { Labels } from "./scene_labels";
import { type Layout, layoutOf, type Size } from "./scene_layout";
import { frameLines, Lines, trailLines } from "./scene_lines";
import { Marker } from "./scene_marker";
import { placeOf } from "./scene_pick";
import { Planes } from "./scene_planes";
import type { Node3 } from "./scene_three";
import type { Moment, ParametersMeta } from "./stage";

/** By this name a stage knows the groups of other views of the same scene. */
const GROUP = "nbmonitor";
const TOKEN_SIZE = 0.11;
const POSITION_SIZE = 0.09;

/** What a draw depends on besides the moments. */
export interface Camera {
  readonly pose: Pose;
  readonly fov: number;
  readonly width: number;
  readonly height: number;
  /** Device pixels per CSS pixel. */
  readonly ratio: number;
  /** Points at most. */
  readonly most: number;
}

type Named = Node3 & { name: string; children: readonly Named[] };

export class Parts {
  layout: Layout;
  /** The tokens as they are drawn, null where there are none. */
  tokens: Ends | null = null;
  /** Brings the tokens' values to the scene's size. */
  factor = 0;
  readonly #group: Named;
  readonly #scene: Named;
  readonly #kit: Kit;
  readonly #meta: ParametersMeta;
  readonly #cloud: Cloud;
  readonly #positions: Cloud;
  readonly #planes: Planes;
  readonly #labels: Labels;
  readonly #frames: Lines;
  readonly #trails: Lines;
  readonly #marker: Marker;
  readonly #clusterer = new Clusterer();
  readonly #clusters = new WeakMap<Int16Array, Clusters>();
  readonly #reaches = new WeakMap<Int16Array, number>();
  #radius = 0;
  #positionRadius = 0;
  #palette: Palette | null = null;
  #framed: unknown[] = [];
  #trailed: unknown[] = [];
  #order = new Uint8Array(0);

  constructor(kit: Kit, meta: ParametersMeta, stage: Size) {
    const { three } = kit;
    this.#kit = kit;
    this.#meta = meta;
    this.layout = layoutOf(meta, stage);
    this.#scene = kit.scene as unknown as Named;
    this.#group = new three.Group() as Named;
    this.#group.name = GROUP;
    this.#cloud = new Cloud(three, this.layout.tokens.at, TOKEN_SIZE);
    this.#positions = new Cloud(three, this.layout.positions.at, POSITION_SIZE);
    this.#planes = new Planes(three, this.layout);
    this.#labels = new Labels(three, this.layout.signs);
    this.#frames = new Lines(three);
    this.#trails = new Lines(three);
    this.#trails.node.position.set(...this.layout.tokens.at);
    this.#trails.node.renderOrder = 3;
    this.#marker = new Marker(three);
    for (const part of this.#all()) this.#group.add(part.node);
  }

  /** Stand as it suits a stage of another size. */
  arrange(stage: Size): void {
    this.layout = layoutOf(this.#meta, stage);
    const { tokens, positions, signs } = this.layout;
    for (const { node } of [this.#cloud, this.#trails]) node.position.set(...tokens.at);
    this.#positions.node.position.set(...positions.at);
    this.#planes.arrange(this.layout);
    this.#labels.arrange(signs);
  }

  /** Write everything that has changed; the renderer draws it. */
  update(shown: Shown, trails: ReadonlyMap<number, Float32Array>, camera: Camera): void {
    this.#enter();
    const palette = this.#kit.palette();
    if (palette !== this.#palette) this.#paint(palette);
    const { a, b, t, look } = shown;
    const pixels = (camera.height * camera.ratio) / (2 * Math.tan((camera.fov * Math.PI) / 360));
    this.tokens = tokenEnds(shown, (moment) => this.clustersOf(moment)?.labels ?? null);
    this.#cloud.node.visible = this.tokens !== null && look.showTokens;
    if (this.tokens) {
      this.#radius = this.#grown(this.#radius, this.tokens);
      this.factor = this.layout.tokens.radius / (this.#radius || 1);
      const { row } = this.tokens;
      const brush = { factor: this.factor, pixels, most: camera.most, row };
      this.#cloud.show(this.tokens.a, this.tokens.b, t, brush);
    }
    const positions = positionEnds(shown, (n) => this.#ordered(n));
    this.#positions.node.visible = positions !== null && look.showPositions;
    if (positions) {
      this.#positionRadius = this.#grown(this.#positionRadius, positions);
      const factor = this.layout.positions.radius / (this.#positionRadius || 1);
      const brush = { factor, pixels, most: camera.most, row: positions.row };
      this.#positions.show(positions.a, positions.b, t, brush);
    }
    this.#planes.show(a.heat, b.heat, t, look);
    this.#lines(shown, trails, palette);
    const unit = pixels / camera.ratio / camera.pose.distance;
    this.#labels.place(camera.width, camera.height, this.layout.rise * unit);
    const chosen = look.showTokens && this.tokens && look.selected !== null ? look.selected : -1;
    this.#marker.place(this.place(chosen, t), palette.readout, camera.ratio);
  }

  /** Where a token is in the scene, or null. */
  place(token: number, t: number): readonly [number, number, number] | null {
    const ends = this.tokens;
    if (!ends || token < 0 || token * 3 >= ends.b.places.length) return null;
    return placeOf(ends.a, ends.b, t, token, this.factor, this.layout.tokens.at);
  }

  dispose(): void {
    this.#scene.remove(this.#group);
    for (const part of this.#all()) part.dispose();
  }

  #all() {
    return [
      this.#cloud,
      this.#positions,
      this.#planes,
      this.#labels,
      this.#frames,
      this.#trails,
      this.#marker,
    ];
  }

  /** Of all views of this scene, show this one's things: each draws right after it has entered. */
  #enter(): void {
    // When Python sets the scene's children anew, pythreejs takes out what it doesn't know.
    if (this.#group.parent !== this.#scene) this.#scene.add(this.#group);
    for (const child of this.#scene.children) {
      if (child.name === GROUP) child.visible = child === this.#group;
    }
  }

  #paint(palette: Palette): void {
    this.#palette = palette;
    const tables = tablesOf(palette);
    const glow = palette.glow > 0;
    this.#cloud.setColours(cloudColours(tables), glow);
    this.#positions.setColours(cloudColours(tables, colorTable(positionStops(palette))), glow);
    this.#planes.setColours(
      sheetColours(tables),
      rgb(palette.panel).map((part) => part / 255),
    );
    this.#labels.write({ loud: palette.readout, quiet: palette.label, font: palette.font });
    this.#kit.scene.background?.set(palette.panel);
  }

  #lines(shown: Shown, trails: ReadonlyMap<number, Float32Array>, palette: Palette): void {
    const { look } = shown;
    const tokens = look.showTokens && this.tokens !== null;
    const framed = [look.visible, tokens, palette, this.layout];
    if (framed.some((value, i) => value !== this.#framed[i])) {
      this.#framed = framed;
      this.#frames.set(frameLines(this.layout, look.visible, tokens, palette.border));
    }
    const trailed = [trails, this.factor, palette, look.showTokens];
    if (trailed.some((value, i) => value !== this.#trailed[i])) {
      this.#trailed = trailed;
      this.#trails.set(trailLines(look.showTokens ? trails : new Map(), this.factor, palette.hues));
    }
  }

  /** Kept by the points themselves: the same ones may come in a new moment with each frame. */
  clustersOf(moment: Moment): Clusters | null {
    const { tokens } = moment;
    if (!tokens) return null;
    const known = this.#clusters.get(tokens) ?? this.#clusterer.of(moment);
    if (known) this.#clusters.set(tokens, known);
    return known;
  }

  /** What the colours of all sheets stand for; null where each has its own. */
  get range(): Range | null {
    return this.#planes.range;
  }

  /** The cloud's radius only grows, so that a cloud that spreads is seen to spread. */
  #grown(radius: number, { a, b }: Ends): number {
    const reach = (places: Int16Array) => {
      const known = this.#reaches.get(places) ?? reachOf(places);
      this.#reaches.set(places, known);
      return known;
    };
    return Math.max(radius, reach(a.places) * a.scale, reach(b.places) * b.scale);
  }

  #ordered(n: number): Uint8Array {
    if (this.#order.length !== n) {
      this.#order = Uint8Array.from({ length: n }, (_, i) => (255 * i) / Math.max(1, n - 1));
    }
    return this.#order;
  }
}
