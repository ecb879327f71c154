"""What some training cameras see of a field: the pictures that its surface is made from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.radiance.data import shots_of
from anyview.radiance.image import RenderedView, render_view
from anyview.radiance.ray_table import Shot
from anyview.radiance.run import Run
from anyview.radiance.views import scale_of
from anyview.scene.scene import View
from anyview.training.memory import Chunk

VIEWS = 50
"""Most views that are rendered, unless asked for another number."""

MOST_PIXELS = 1 << 20
"""Of a picture that is rendered for the surface: a field's detail ends far before a camera's of 20 megapixels."""

OPAQUE = 0.9
"""Opacity from which on a pixel sees a surface."""


def chosen(views: Sequence[View], most: int) -> Sequence[View]:
    """At most so many of the views with the largest images, spread evenly over them.

    Raises:
        OptionError: less than one.
    """
    if most < 1:
        raise OptionError("no view would be rendered", where="--views", expected="1 or more", actual=most)
    finest = min(scale_of(view) for view in views)
    full = [view for view in views if scale_of(view) == finest]
    return full[:: -(-len(full) // most)]


def surface_views(run: Run, views: Sequence[View], progress: Progress = SILENT) -> Iterator[tuple[Shot, RenderedView]]:
    """Render views, one at a time; those of more than `MOST_PIXELS` reduced by a whole number per side.

    Args:
        run: the field.
        views: of its scene.
        progress: told where the memory does not hold a picture at once.

    Raises:
        OutOfMemoryError: not even one ray fits.
    """
    chunk = Chunk(run.renderer.rays_at_once, note=progress.note)
    downscale = run.options.data.downscale
    for view in views:
        pixels = (view.camera.width // downscale) * (view.camera.height // downscale)
        (shot,) = shots_of([view], downscale * math.ceil(math.sqrt(pixels / MOST_PIXELS)))
        yield shot, render_view(run.renderer, shot, chunk)
