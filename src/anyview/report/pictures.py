"""Maps to colours, and pictures to labelled sheets.

Colours are eight-bit RGBA (H, W, 4); where a map holds nothing they are transparent, so that they sit on any page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from matplotlib import colormaps
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from anyview.errors import OptionError
from anyview.typing import Depth, Normals

Rgba: TypeAlias = UInt8[np.ndarray, "H W 4"]
Colormap: TypeAlias = Literal["turbo", "magma", "viridis", "cividis"]

_INK = (110, 116, 128, 255)  # readable on white and on black
_FONT_SHARE = 0.045  # of a picture's width
_STEPS = 256


def depth_range(depth: Depth) -> tuple[float, float] | None:
    """The 1st and 99th percentile of the depths that are there, or None where there are none."""
    seen = depth[np.isfinite(depth) & (depth > 0)]
    if not seen.size:
        return None
    low, high = np.percentile(seen, [1, 99])
    return float(low), float(high)


def color_depth(depth: Depth, limits: tuple[float, float] | None = None, colormap: Colormap = "turbo") -> Rgba:
    """Near is the colormap's warm end.

    Args:
        depth: scene units, 0 = none.
        limits: depths at the ends of the colormap; None takes `depth_range`.
        colormap: by matplotlib's name.
    """
    seen = np.isfinite(depth) & (depth > 0)
    low, high = limits or depth_range(depth) or (0.0, 1.0)
    return _apply(colormap, (high - depth) / max(high - low, 1e-12), seen)


def color_cost(cost: Float32[np.ndarray, "H W"], largest: float, seen: Bool[np.ndarray, "H W"] | None = None) -> Rgba:
    """Matching cost or uncertainty, dark = 0 to bright = `largest` and more.

    Args:
        cost: 0 is best.
        largest: the cost at the bright end.
        seen: where there is a value; None takes all that are finite.
    """
    return _apply("magma", cost / max(largest, 1e-12), np.isfinite(cost) if seen is None else seen)


def color_normals(normals: Normals) -> Rgba:
    """Normals in the camera frame: red to the right, green upwards, blue towards the camera; zero is transparent."""
    seen = np.isfinite(normals).all(axis=-1) & (np.abs(normals).sum(axis=-1) > 0.1)
    unit = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    half = np.array([127.5, -127.5, -127.5], np.float32)
    out = np.empty((*seen.shape, 4), np.uint8)
    out[..., :3] = np.rint(np.nan_to_num(unit, posinf=0, neginf=0) * half + np.float32(127.5))
    out[..., 3] = 255
    out[~seen] = 0
    return out


def with_legend(
    picture: Rgba, low: str, high: str, colormap: Colormap = "turbo", *, flip: bool = True
) -> UInt8[np.ndarray, "L W 4"]:
    """The picture over a bar of its colormap with a label at each end.

    Args:
        picture: of at least 32 pixels width.
        low, high: the labels left and right.
        colormap: by matplotlib's name.
        flip: whether the low value has the colormap's last colour, as in `color_depth`.
    """
    width = picture.shape[1]
    size = max(10, round(width * _FONT_SHARE))
    bar = np.linspace(1, 0, width) if flip else np.linspace(0, 1, width)
    rows = np.broadcast_to(bar, (size // 2, width))
    strip = PillowImage.new("RGBA", (width, size + size // 2))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(size)
    draw.text((2, size + size // 3), low, _INK, font, anchor="ls")
    draw.text((width - 2, size + size // 3), high, _INK, font, anchor="rs")
    gap = np.zeros((size // 3, width, 4), np.uint8)
    colored = _apply(colormap, rows, np.ones(rows.shape, bool))
    return np.concatenate([picture, gap, colored, np.asarray(strip)])


def contact_sheet(
    pictures: Sequence[UInt8[np.ndarray, "_ _ _"]],
    labels: Sequence[str],
    columns: int,
    *,
    cell: tuple[int, int] = (320, 240),
    background: tuple[int, int, int, int] = (255, 255, 255, 255),
) -> Rgba:
    """Pictures in a grid, each fitted into its cell with a label below it.

    Args:
        pictures: grey (H, W, 1), RGB or RGBA, of any size.
        labels: one each; cut to the cell's width.
        columns: cells per row.
        cell: width and height that a picture may take, pixels.
        background: RGBA.

    Raises:
        OptionError: no pictures, no columns, or another number of labels than of pictures.
    """
    if not pictures or columns < 1 or len(labels) != len(pictures):
        raise OptionError(
            "a sheet needs pictures, a label for each, and columns",
            actual=f"{len(pictures)} pictures, {len(labels)} labels, {columns} columns",
        )
    width, height = cell
    size, gap = max(10, round(width * _FONT_SHARE)), max(4, width // 40)
    rows = -(-len(pictures) // columns)
    step_x, step_y = width + gap, height + size * 2
    sheet = PillowImage.new("RGBA", (columns * step_x + gap, rows * step_y + gap), background)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size)
    for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        x, y = gap + i % columns * step_x, gap + i // columns * step_y
        fitted = fit(picture, width, height)
        sheet.alpha_composite(fitted, (x + (width - fitted.width) // 2, y + (height - fitted.height) // 2))
        draw.text((x, y + height + round(size * 1.2)), _cut(label, width, font), _INK, font, anchor="ls")
    return np.asarray(sheet)


def fit(picture: UInt8[np.ndarray, "_ _ _"], width: int, height: int) -> PillowImage.Image:
    """An RGBA image of the picture, reduced (never enlarged) so that it fits into width x height."""
    image = PillowImage.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).convert("RGBA")
    scale = min(1.0, width / image.width, height / image.height)
    if scale == 1:
        return image
    return image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), PillowImage.Resampling.LANCZOS
    )


def _cut(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, or its end behind an ellipsis: files differ at their ends."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("..." + text) > width:
        text = text[1:]
    return "..." + text


def _apply(colormap: str, share: Float[np.ndarray, "H W"], seen: Bool[np.ndarray, "H W"]) -> Rgba:
    table = np.zeros((_STEPS + 1, 4), np.uint8)  # the last colour is nothing
    table[:-1, :3] = np.rint(colormaps[colormap](np.linspace(0, 1, _STEPS))[:, :3] * 255)
    table[:-1, 3] = 255
    place = np.rint(np.clip(np.nan_to_num(share), 0, 1) * (_STEPS - 1)).astype(np.intp)
    return table[np.where(seen, place, _STEPS)]
