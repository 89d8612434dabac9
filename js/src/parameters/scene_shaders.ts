/** GLSL of the scene. WebGL 1, so that it runs wherever pythreejs does. */

/**
 * A cloud of points between two moments. Stored coordinates are 16-bit integers, colours bytes:
 * they go to the graphics memory as they came and become numbers here.
 */
export const CLOUD_VERTEX = `
attribute vec3 position_b;
attribute float value, value_b, weight, weight_b;
uniform float u_t, u_scale, u_scale_b, u_row, u_size, u_pixels;
uniform vec2 u_map, u_map_b;
varying float v_value;
void main() {
  vec3 p = mix(position * u_scale, position_b * u_scale_b, u_t);
  // Numbers of clusters are names: between two of them there is nothing.
  bool names = u_row > 0.34 && u_row < 0.66;
  float t = names ? step(0.5, u_t) : u_t;
  v_value = mix(value * u_map.x + u_map.y, value_b * u_map_b.x + u_map_b.y, t);
  vec4 seen = modelViewMatrix * vec4(p, 1.0);
  gl_Position = projectionMatrix * seen;
  float size = u_size * (0.7 + 1.3 * mix(weight, weight_b, u_t));
  gl_PointSize = clamp(size * u_pixels / -seen.z, 2.0, 28.0);
}`;

export const CLOUD_FRAGMENT = `
uniform sampler2D u_colours;
uniform float u_alpha, u_glow, u_row;
varying float v_value;
void main() {
  float r = 2.0 * length(gl_PointCoord - 0.5);
  if (r > 1.0) discard;
  vec3 colour = texture2D(u_colours, vec2((v_value * 255.0 + 0.5) / 256.0, u_row)).rgb;
  float light = exp(-4.0 * r * r);
  float alpha = mix(smoothstep(1.0, 0.6, r), light, u_glow);
  alpha *= u_alpha;
  // Multiplied beforehand, and covering less than it gives: light adds to light a little, so that
  // a crowd shines, and yet keeps its colour, where plain addition would end in white.
  gl_FragColor = vec4(colour * alpha, alpha * mix(1.0, 0.65, u_glow));
}`;

/**
 * All heatmaps in one draw: each is a tile of an atlas, with its own way from bytes to values and
 * its own range of colours. A range that reaches below 0 has its middle there.
 */
export const PLANES_VERTEX = `
attribute vec2 bytes, bytes_b, ends, ends_b;
attribute float shown;
uniform float u_t;
uniform vec3 u_shared;
varying vec2 v_uv, v_ends;
varying vec4 v_scales;
void main() {
  v_uv = uv;
  v_scales = vec4(bytes, bytes_b);
  v_ends = u_shared.z > 0.5 ? u_shared.xy : mix(ends, ends_b, u_t);
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  if (shown < 0.5) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}`;

export const PLANES_FRAGMENT = `
uniform sampler2D u_tiles, u_tiles_b, u_colours;
uniform float u_t, u_threshold;
uniform vec3 u_ground;
varying vec2 v_uv, v_ends;
varying vec4 v_scales;
void main() {
  float a = texture2D(u_tiles, v_uv).r * v_scales.x + v_scales.y;
  float b = texture2D(u_tiles_b, v_uv).r * v_scales.z + v_scales.w;
  float value = mix(a, b, u_t);
  float span = v_ends.y - v_ends.x;
  bool signed_ = v_ends.x < 0.0 && v_ends.y > 0.0;
  float reach = max(-v_ends.x, v_ends.y);
  float at = span > 0.0 ? (value - v_ends.x) / span : 0.5;
  if (signed_) at = 0.5 + 0.5 * value / reach;
  float column = (clamp(at, 0.0, 1.0) * 255.0 + 0.5) / 256.0;
  vec3 colour = texture2D(u_colours, vec2(column, signed_ ? 0.75 : 0.25)).rgb;
  gl_FragColor = vec4(abs(value) < u_threshold ? mix(u_ground, colour, 0.16) : colour, 1.0);
}`;

/** Text that faces the viewer at its own size in pixels; every n-th where they stand too close. */
export const LABELS_VERTEX = `
attribute vec2 corner;
attribute float rank;
uniform vec2 u_view;
uniform float u_every;
varying vec2 v_uv;
void main() {
  v_uv = uv;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  gl_Position.xy += corner * 2.0 / u_view * gl_Position.w;
  if (rank >= 0.0 && mod(rank + 0.5, u_every) > 1.0) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}`;

export const LABELS_FRAGMENT = `
uniform sampler2D u_text;
varying vec2 v_uv;
void main() {
  vec4 ink = texture2D(u_text, v_uv);
  if (ink.a < 0.02) discard;
  gl_FragColor = ink;
}`;

export const LINES_VERTEX = `
attribute vec4 tint;
varying vec4 v_tint;
void main() {
  v_tint = tint;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}`;

export const LINES_FRAGMENT = `
varying vec4 v_tint;
void main() { gl_FragColor = v_tint; }`;

/** A ring around a place, of one size at any distance. */
export const MARKER_VERTEX = `
uniform float u_pixels;
void main() {
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  gl_PointSize = u_pixels;
}`;

export const MARKER_FRAGMENT = `
uniform vec3 u_colour;
void main() {
  float r = 2.0 * length(gl_PointCoord - 0.5);
  if (r > 1.0 || r < 0.72) discard;
  gl_FragColor = vec4(u_colour, 1.0);
}`;
