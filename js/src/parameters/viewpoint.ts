/**
 * Where a viewer stands, said in a way that holds for another model, another size, another stage:
 * relative to where the whole is seen from. Pure.
 */

import type { Viewpoint } from "../ui";
import type { Camera, Vec3 } from "./camera";
import type { Place } from "./flat_planes";
import type { Pose } from "./scene_camera";

const MIDDLE: Vec3 = [0, 0, 0];

/** `pose` as seen from `home`; distances are told in shares of how far away home is. */
export function viewpointOf(
  pose: Pose,
  home: Pose,
  layer: number | null,
  atHome: boolean,
): Viewpoint {
  const away = (k: 0 | 1 | 2) => (pose.target[k] - home.target[k]) / home.distance;
  return {
    by: "scene",
    yaw: pose.yaw,
    pitch: pose.pitch,
    zoom: home.distance / pose.distance,
    centre: [away(0), away(1), away(2)],
    layer,
    stack: null,
    home: atHome,
  };
}

/** The pose that `view` means, for a scene whose whole is seen from `home`. */
export function poseOf(view: Viewpoint, home: Pose): Pose {
  const centre = view.by === "scene" ? view.centre : MIDDLE;
  const at = (k: 0 | 1 | 2) => home.target[k] + centre[k] * home.distance;
  return {
    target: [at(0), at(1), at(2)],
    yaw: view.yaw,
    pitch: view.pitch,
    distance: home.distance / view.zoom,
  };
}

/** The same of the flat stage, whose camera counts in radii of the cloud. */
export function flatViewpointOf(camera: Camera, stack: Place, layer: number | null): Viewpoint {
  return { by: "flat", ...camera, layer, stack, home: false };
}

/** The camera that `view` means, for a flat stage. */
export function cameraOf(view: Viewpoint): Camera {
  const { yaw, pitch, zoom } = view;
  return { yaw, pitch, zoom, centre: view.by === "flat" ? view.centre : MIDDLE };
}
