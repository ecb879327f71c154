"""Anchors: boxes of a few sizes and shapes at every place of every feature map (Faster R-CNN, arXiv 1506.01497, 3.1.1).

Letters: A anchors at one place, N in all. A box is (x0, y0, x1, y1) in pixels of the resized image; the anchors of the
place in row i and column j of a map lie around (j, i) times the map's stride, the corner of what that place sees.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from anyview.errors import OptionError
from anyview.segmentation.options import AnchorOptions


def generate_base_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Float[Tensor, "A 4"]:
    """The anchors of one place, around the origin, corners rounded to whole pixels; ratio by ratio, then size by size.

    Args:
        sizes: square roots of areas, pixels.
        ratios: height / width.
    """
    size = torch.tensor(sizes, dtype=torch.float32)
    root = torch.tensor(ratios, dtype=torch.float32).sqrt()[:, None]
    half_width, half_height = (1 / root * size).flatten() / 2, (root * size).flatten() / 2
    return torch.stack([-half_width, -half_height, half_width, half_height], dim=1).round()


def grid_anchors(
    options: AnchorOptions, maps: Sequence[tuple[int, int]], image: tuple[int, int], device: torch.device
) -> list[Float[Tensor, "_ 4"]]:
    """The anchors of each level: row by row, column by column, then in the order of `generate_base_anchors`.

    Args:
        options: sizes and shapes, one entry per level.
        maps: height and width of each feature map, finest first.
        image: height and width of the padded batch, pixels.
        device: where the anchors shall lie.
    """
    levels = []
    for sizes, ratios, (rows, columns) in zip(options.sizes, options.ratios, maps, strict=True):
        base = generate_base_anchors(sizes, ratios).to(device)
        y = torch.arange(rows, device=device) * (image[0] // rows)
        x = torch.arange(columns, device=device) * (image[1] // columns)
        corner = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
        levels.append((corner.repeat(1, 1, 2)[:, :, None] + base).reshape(-1, 4))
    return levels


def check_anchors(options: AnchorOptions, levels: int) -> None:
    """Raises: OptionError, unless each level has sizes and ratios, and as many anchors as the others."""
    for name, entries in (("sizes", options.sizes), ("ratios", options.ratios)):
        if len(entries) != levels:
            raise OptionError(
                "anchors do not fit the feature maps",
                where=f"anchors.{name}",
                expected=f"{levels} tuples, one per level, finest first",
                actual=len(entries),
            )
        if any(not entry or min(entry) <= 0 for entry in entries):
            raise OptionError(
                "a level's anchors are empty or not positive", where=f"anchors.{name}", actual=str(entries)
            )
    counts = [len(sizes) * len(ratios) for sizes, ratios in zip(options.sizes, options.ratios, strict=True)]
    if len(set(counts)) > 1:
        raise OptionError(
            "levels differ in their number of anchors",
            where="anchors",
            expected="one number of sizes times ratios, for one head looks at all levels",
            actual=str(counts),
        )
