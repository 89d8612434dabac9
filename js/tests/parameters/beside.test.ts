/** Playback and camera beside another run's: who leads, who follows, and from where. */

import { describe, expect, test } from "vitest";
import { Beside } from "../../src/parameters/beside";
import { HOME } from "../../src/parameters/camera";
import { Player } from "../../src/parameters/player";
import { cameraOf, flatViewpointOf, poseOf, viewpointOf } from "../../src/parameters/viewpoint";
import { UiState, type Viewpoint } from "../../src/ui";

const STEPS = [0, 1, 2, 4, 8];
const VIEW: Viewpoint = flatViewpointOf({ ...HOME, yaw: 1 }, { x: 0, y: 0, zoom: 1 }, null);

function open(ui = new UiState()) {
  const end = new AbortController();
  const stood: Viewpoint[] = [];
  let beside: Beside | null = null;
  const player = new Player(() => beside?.moved());
  player.setSteps(STEPS);
  beside = new Beside(player, (view) => stood.push(view), ui, end.signal);
  return { player, ui, stood, beside, end };
}

describe("who leads", () => {
  test("what begins here is said, each time anew, and does nothing here", () => {
    const { player, ui } = open();
    player.play();
    const first = ui.get("lead");
    expect([first, player.playing]).toEqual([{ to: "play" }, true]);
    player.pause();
    expect(ui.get("lead")).toBe(first);
    player.play();
    expect(ui.get("lead")).not.toBe(first);
    player.follow();
    expect(ui.get("lead")).toEqual({ to: "newest" });
  });

  test("what begins there: this one stops playing, or goes to its newest", () => {
    const { player, ui } = open();
    player.play();
    ui.set("lead", { to: "play" });
    expect(player.playing).toBe(false);
    player.seek(2);
    ui.set("lead", { to: "newest" });
    expect([player.following, player.step]).toEqual([true, 8]);
  });

  test("nobody is heard after the end", () => {
    const { player, ui, end } = open();
    player.play();
    end.abort();
    ui.set("lead", { to: "play" });
    expect(player.playing).toBe(true);
  });
});

describe("from where it is seen", () => {
  test("own moves are said and not followed, others are; who comes late stands there too", () => {
    const { ui, stood, beside } = open();
    beside.turned(VIEW);
    expect([ui.get("camera"), stood]).toEqual([VIEW, []]);
    const other = { ...VIEW, yaw: 2 };
    ui.set("camera", other);
    expect(stood).toEqual([other]);
    expect(open(ui).stood).toEqual([other]);
  });

  test("the same place of the whole in a house of twice the size", () => {
    const home = { target: [1, 2, 3], yaw: 0.5, pitch: 0.4, distance: 20 } as const;
    const pose = { target: [3, 2, 1], yaw: 1, pitch: -0.2, distance: 5 } as const;
    const view = viewpointOf(pose, home, 4, false);
    expect(view).toMatchObject({ by: "scene", zoom: 4, layer: 4, home: false });
    const same = poseOf(view, home);
    expect(same.distance).toBeCloseTo(5);
    for (const [k, at] of same.target.entries()) expect(at).toBeCloseTo(pose.target[k] as number);
    const large = poseOf(view, { ...home, target: [0, 0, 0], distance: 40 });
    expect(large).toMatchObject({ yaw: 1, pitch: -0.2, distance: 10 });
    for (const [k, at] of [4, 0, -4].entries()) expect(large.target[k]).toBeCloseTo(at);
  });

  test("between scene and flat stage go direction and zoom, not places in space", () => {
    const home = { target: [1, 2, 3], yaw: 0.5, pitch: 0.4, distance: 20 } as const;
    const view = viewpointOf({ ...home, target: [9, 9, 9], distance: 10 }, home, 1, false);
    expect(cameraOf(view)).toEqual({ yaw: 0.5, pitch: 0.4, zoom: 2, centre: [0, 0, 0] });
    const flat = { ...VIEW, centre: [1, 1, 1], zoom: 2 } as const;
    expect(poseOf(flat, home)).toEqual({ target: [1, 2, 3], yaw: 1, pitch: 0.35, distance: 10 });
    expect(cameraOf(flat).centre).toEqual([1, 1, 1]);
  });
});
