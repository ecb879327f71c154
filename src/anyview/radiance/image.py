"""A camera's whole picture from a field, a few rays at a time: memory does not grow with the image but by its result.

Letters: H rows, W columns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32

from anyview.radiance.ray_table import RayTable, Shot
from anyview.radiance.renderer import Renderer
from anyview.training.memory import Chunk, in_chunks
from anyview.typing import Depth, Image


class RenderedView(NamedTuple):
    """What a camera sees."""

    rgb: Image  # background included; may reach a little beyond [0, 1]
    depth: Depth
    opacity: Float32[np.ndarray, "H W"]


def render_view(renderer: Renderer, shot: Shot, chunk: Chunk | None = None) -> RenderedView:
    """Render a picture.

    Args:
        renderer: of the field.
        shot: the camera, its pose, its near and far.
        chunk: rays at a time, halved where memory runs out; kept between calls, what was learnt stays known.

    Raises:
        OutOfMemoryError: not even one ray fits.
    """
    chunk = Chunk(renderer.rays_at_once) if chunk is None else chunk
    table, width, height = RayTable([shot]), shot.camera.width, shot.camera.height
    rgb, depth, opacity = (np.empty((height * width, *more), np.float32) for more in ((3,), (), ()))

    def part(rows: slice) -> None:
        pixel = torch.arange(rows.start, rows.stop)
        row = torch.div(pixel, width, rounding_mode="floor")
        seen = renderer.render(table.rays(torch.zeros_like(pixel), row, pixel - row * width))
        rgb[rows], depth[rows], opacity[rows] = seen.rgb.numpy(), seen.depth.numpy(), seen.opacity.numpy()

    in_chunks(part, height * width, chunk)
    return RenderedView(*(plane.reshape(height, width, *plane.shape[1:]) for plane in (rgb, depth, opacity)))
