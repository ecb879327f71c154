"""A few views of a radiance field's run for its page: truth, render, error and depth, small, in little time.

Pictures that `anyview radiance eval` has left are taken as they are; only their depth is rendered.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image as PillowImage

from anyview.errors import AnyviewError, OptionError
from anyview.formats.images import read_image
from anyview.radiance.data import shots_of
from anyview.radiance.evaluate import Figures, error_map, picture_file, view_figures
from anyview.radiance.image import RenderedView, render_view
from anyview.radiance.pictures import picture_camera, read_picture
from anyview.radiance.run import Run
from anyview.report.pictures import fit
from anyview.scene.scene import View
from anyview.training.memory import Chunk
from anyview.typing import Depth, Image

T = TypeVar("T")
_WIDEST = 400
_SECONDS = 20.0  # for all renderings of a page together
_PROBE = 48  # pixels a side, about: of the picture that tells the field's speed
_LEAST = 24  # pixels a side, however slow


@dataclass(frozen=True, eq=False)
class ShownView:
    """What the page shows of a view; pictures are of about the same size.

    Attributes:
        name: the view's.
        mark: "best" or "worst" of a split, or nothing.
        truth, render, error: eight bits.
        depth: z, scene units, 0 means none.
        figures: by name.
        size: width and height of the pictures that the figures are of.
    """

    name: str
    mark: str
    truth: UInt8[np.ndarray, "_ _ 3"]
    render: UInt8[np.ndarray, "_ _ 3"]
    error: UInt8[np.ndarray, "_ _ 3"]
    depth: Depth
    figures: dict[str, float]
    size: tuple[int, int]


def held_back(run: Run) -> tuple[str, tuple[View, ...]]:
    """The split to be shown: test, else val, else train."""
    split = next((s for s in ("test", "val") if getattr(run.views, s)), "train")
    return split, getattr(run.views, split)


def shown_views(run: Run, figures: Figures | None, count: int = 4) -> tuple[list[ShownView], list[str]]:
    """Views spread over a split, and of one that has figures the best and the worst.

    Args:
        run: whose field renders.
        figures: of its weights, or None.
        count: how many that are spread.

    Returns:
        the views, and a sentence for each that could not be shown.
    """
    split, views = held_back(run)
    done: dict[str, dict[str, float]] = {}
    marks: dict[str, str] = {}
    if figures is not None:
        split = figures.split
        done = {v.name: _told(v.psnr, v.ssim, v.lpips) for v in figures.views}
        views = tuple(v for v in run.views.split(split) if v.name in done)
        if len(views) > 1:
            by_psnr = sorted(done, key=lambda name: done[name]["psnr"])
            marks = {by_psnr[-1]: "best", by_psnr[0]: "worst"}
    chosen = spread(views, count) + [v for v in views if v.name in marks]
    chosen = [v for v in views if any(v is one for one in chosen)]
    chunk, rays = Chunk(run.renderer.rays_at_once), 0.0
    found, missing = [], []
    for view in chosen:
        try:
            rays = rays or _SECONDS / len(chosen) * _rays_per_second(run, view, chunk)
            by = _reduction(run, view, rays)
            if figures is None:
                found.append(_rendered(run, view, by, chunk))
            else:
                found.append(_evaluated(run, figures, view, by, chunk, marks.get(view.name, ""), done[view.name]))
        except AnyviewError as error:
            missing.append(f"View {view.name} is not shown: {error}.")
    return found, missing


def spread(views: Sequence[T], count: int) -> list[T]:
    """At most so many, evenly picked, from the middles of equal parts."""
    picked = min(count, len(views))
    return [views[int((i + 0.5) * len(views) / picked)] for i in range(picked)]


def _told(psnr: float, ssim: float, lpips: float | None) -> dict[str, float]:
    return {"psnr": psnr, "ssim": ssim} | ({} if lpips is None else {"lpips": lpips})


def _reduction(run: Run, view: View, rays: float) -> int:
    """By how much a view's picture is made smaller per side, beyond the run's own reduction."""
    camera = picture_camera(view.camera, run.options.data.downscale)
    by = max(math.ceil(camera.width / _WIDEST), math.ceil(math.sqrt(camera.width * camera.height / max(rays, 1))))
    return max(1, min(by, min(camera.width, camera.height) // _LEAST))


def _rays_per_second(run: Run, view: View, chunk: Chunk) -> float:
    """How fast the field is, by a small picture; the first one may compile kernels and does not count."""
    camera = picture_camera(view.camera, run.options.data.downscale)
    by = run.options.data.downscale * max(1, min(camera.width, camera.height) // _PROBE)
    shot = shots_of([view], by)[0]
    render_view(run.renderer, shot, chunk)
    began = time.perf_counter()
    render_view(run.renderer, shot, chunk)
    return shot.camera.width * shot.camera.height / max(time.perf_counter() - began, 1e-6)


def _seen(run: Run, view: View, by: int, chunk: Chunk) -> tuple[RenderedView, Depth]:
    """A small rendering, and its depth where the ray meets something."""
    seen = render_view(run.renderer, shots_of([view], by)[0], chunk)
    return seen, np.where(seen.opacity >= 0.5, seen.depth, np.float32(0))


def _rendered(run: Run, view: View, by: int, chunk: Chunk) -> ShownView:
    """A view that has no pictures yet."""
    by *= run.options.data.downscale
    picture = read_picture(view, by)
    truth = picture.over(run.background)
    seen, depth = _seen(run, view, by, chunk)
    rgb = seen.rgb.clip(0, 1)
    if picture.known is not None:
        rgb[~picture.known] = truth[~picture.known]
    try:
        figures = view_figures(truth, rgb, known=picture.known)
    except OptionError:  # too small for one
        figures = {}
    size = (picture.camera.width, picture.camera.height)
    return ShownView(view.name, "", _bytes(truth), _bytes(rgb), error_map(truth, rgb), depth, figures, size)


def _evaluated(
    run: Run, figures: Figures, view: View, by: int, chunk: Chunk, mark: str, told: dict[str, float]
) -> ShownView:
    """A view whose pictures `evaluate` has left side by side."""
    three = _bytes(read_image(figures.folder / picture_file(view.name, figures.split))[0])
    width = three.shape[1] // 3
    truth, render, error = (_small(three[:, i * width : (i + 1) * width]) for i in range(3))
    _, depth = _seen(run, view, by * run.options.data.downscale, chunk)
    return ShownView(view.name, mark, truth, render, error, depth, told, (width, three.shape[0]))


def _small(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    small: PillowImage.Image = fit(image, _WIDEST, 4 * _WIDEST)
    return np.asarray(small.convert("RGB"))


def _bytes(image: Image) -> UInt8[np.ndarray, "H W 3"]:
    pixels: UInt8[np.ndarray, "H W 3"] = np.rint(image * 255).astype(np.uint8)
    return pixels
