"""Figures while a field trains: from a few pixels of every validation view, the same ones always.

All views count, so that no view's luck decides which weights are best; whole images are for `anyview radiance eval`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from anyview.radiance.data import shots_of
from anyview.radiance.pictures import read_picture
from anyview.radiance.ray_table import RayTable
from anyview.radiance.rays import Rays
from anyview.radiance.renderer import Renderer
from anyview.scene.scene import View
from anyview.training.memory import Chunk, in_chunks


class ValidationPixels:
    """Pixels that fields in training are judged by.

    Args:
        views: with near and far; none give no figures.
        count: pixels per view, or all where it has fewer.
        background: grey level behind transparent pixels.
        downscale: see `read_picture`.
        seed: chooses the pixels.
        note: told where memory runs out, and the work goes on with fewer rays at a time.

    Raises:
        SceneError, FormatError: an image is missing, damaged, or contradicts its camera.
    """

    def __init__(
        self, views: Sequence[View], count: int, background: float = 1.0, downscale: int = 1, seed: int = 0,
        note: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        self._note = note
        rng = np.random.default_rng(seed)
        self._parts: list[tuple[Rays, torch.Tensor]] = []
        self._chunk: Chunk | None = None
        table = RayTable(shots_of(views, downscale)) if views else None
        for number, view in enumerate(views):
            picture = read_picture(view, downscale)
            candidates = np.arange(picture.rgb.shape[0] * picture.rgb.shape[1])
            if picture.known is not None:
                candidates = candidates[picture.known.ravel()]
            chosen = torch.from_numpy(np.sort(rng.choice(candidates, min(count, len(candidates)), replace=False)))
            row = torch.div(chosen, picture.camera.width, rounding_mode="floor")
            assert table is not None
            rays = table.rays(torch.full_like(chosen, number), row, chosen - row * picture.camera.width)
            self._parts.append((rays, torch.from_numpy(picture.over(background).reshape(-1, 3)[chosen.numpy()])))

    def figures(self, renderer: Renderer) -> dict[str, float]:
        """Mean over the views of the PSNR in decibels, colours clipped to [0, 1]; empty where there are no views."""
        if not self._parts:
            return {}
        self._chunk = self._chunk or Chunk(renderer.rays_at_once, note=self._note)
        found = []
        for rays, truth in self._parts:

            def part(rows: slice, rays: Rays = rays) -> torch.Tensor:
                return renderer.render(Rays(*(values[rows] for values in rays))).rgb

            rgb = torch.cat(in_chunks(part, len(truth), self._chunk)).clamp(0, 1)
            found.append(-10 * torch.log10((rgb - truth).square().mean().clamp_min(1e-10)))
        return {"psnr": float(torch.stack(found).mean())}
