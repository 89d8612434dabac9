"""The objects of the 3D scene: what there is, and nothing of what it shows.

The only importer of pythreejs. Python owns the structure, the page owns the data: it writes
positions, colours and textures straight into the three.js objects behind these, so that a
frame costs no message and plays while the kernel is busy. Each kind of object is here once,
with an array of one point: the page makes more of its kind.

Two traps of pythreejs 2.4.2 are kept out by construction: a texture among the uniforms of a
`ShaderMaterial` lands on another key, and is saved so that it can't be restored. So uniforms
are numbers here, and the page binds its textures itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pythreejs as three

# The theme's background: what a renderer shows until the page draws.
BACKGROUND = "#0a0e1a"
# Of a view before the page gives it the size of its panel, in CSS pixels.
WIDTH, HEIGHT = 800, 480


@dataclass(frozen=True)
class Structure:
    """The scene's objects by the names that the page knows them by.

    Attributes
    ----------
    renderer
        A `pythreejs.Renderer`: the scene as a widget of its own.
    handles
        Flat on purpose: what exports a notebook follows references one level deep.
    """

    renderer: Any
    handles: dict[str, Any]

    def widgets(self) -> Iterator[Any]:
        """Every widget that belongs to the scene, with those that pythreejs added."""
        yield from self.handles.values()
        yield self.renderer.layout
        yield self.renderer.shadowMap

    def close(self) -> None:
        """Close them all."""
        for widget in self.widgets():
            widget.close()


def build() -> Structure:
    """Make the scene; 13 small models, 3 ms."""
    position = three.BufferAttribute(np.zeros((1, 3), np.float32), normalized=False)
    geometry = three.BufferGeometry(attributes={"position": position})
    material = three.ShaderMaterial(uniforms={"u_t": {"value": 0.0}})
    line = three.LineBasicMaterial()
    # One of each kind; out of sight, because there is nothing to see in one point.
    kinds = {
        "points": three.Points(geometry=geometry, material=material, visible=False),
        "mesh": three.Mesh(geometry=geometry, material=material, visible=False),
        "lines": three.LineSegments(geometry=geometry, material=line, visible=False),
    }
    texture = three.DataTexture(
        data=np.zeros((1, 1), np.uint8), format="LuminanceFormat", type="UnsignedByteType"
    )
    camera = three.PerspectiveCamera(position=(0, 6, 22), fov=40, aspect=WIDTH / HEIGHT)
    scene = three.Scene(children=[*kinds.values(), camera], background=BACKGROUND)
    renderer = three.Renderer(
        camera=camera, scene=scene, controls=[], width=WIDTH, height=HEIGHT, antialias=True
    )
    handles = {
        "renderer": renderer,
        "scene": scene,
        "camera": camera,
        "position": position,
        "geometry": geometry,
        "material": material,
        "line": line,
        "texture": texture,
        **kinds,
    }
    return Structure(renderer, handles)
