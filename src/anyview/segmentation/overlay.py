"""A picture of what was found: tinted masks with outlines, and class and score of each object.

Colours tell instances apart, not classes. Small images are enlarged until letters fit; huge ones are reduced to what a
screen can show.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from anyview.segmentation.drawing import color_of, line_width, tint
from anyview.segmentation.result import Result

_SHORTEST, _LONGEST = 480, 4096  # pixels of the picture's longer side

_Place: TypeAlias = tuple[float, float, float, float]


def draw_overlay(image: UInt8[np.ndarray, "H W 3"], result: Result) -> UInt8[np.ndarray, "h w 3"]:
    """The image with what was found in it.

    Args:
        image: the picture.
        result: of this picture.
    """
    factor = _factor(result.size)
    height, width = (max(round(side * factor), 1) for side in result.size)
    picture = Image.fromarray(image)
    if factor != 1:
        picture = picture.resize((width, height), Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX)
    pixels = np.array(picture)
    thick = line_width((height, width))
    for number in reversed(range(len(result))):  # the best ones on top
        _draw(pixels, result, number, factor, thick)
    picture = Image.fromarray(pixels)
    _label(picture, result, factor, thick)
    return np.array(picture)


def _factor(size: tuple[int, int]) -> float:
    """The picture's size over the image's."""
    return min(max(_SHORTEST / max(size), 1), _LONGEST / max(size))


def _draw(pixels: UInt8[np.ndarray, "h w 3"], result: Result, number: int, factor: float, thick: int) -> None:
    """One mask, at the picture's size."""
    crop, (top, left) = result.crops.crops[number].numpy(), result.crops.corners[number]
    if crop.size == 0:
        return
    rows = _scaled(top, top + crop.shape[0], factor, pixels.shape[0])
    columns = _scaled(left, left + crop.shape[1], factor, pixels.shape[1])
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    shades = Image.fromarray(crop.astype(np.uint8) * np.uint8(255))
    mask = np.asarray(shades.resize(shape, Image.Resampling.BILINEAR)) >= 128
    tint(pixels[rows, columns], mask, color_of(number), thick)


def _scaled(first: int, last: int, factor: float, side: int) -> slice:
    """Pixels of the picture for some of the image, one at least."""
    start = min(round(first * factor), side - 1)
    return slice(start, min(max(round(last * factor), start + 1), side))


def _label(picture: Image.Image, result: Result, factor: float, thick: int) -> None:
    """Class and score at each box, best first; a label that finds no free place lies over others."""
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(12, round(max(picture.size) / 60)))
    taken: list[_Place] = []
    rows = zip(result.boxes.tolist(), result.names, result.scores.tolist(), strict=True)
    for number, (box, name, score) in enumerate(rows):
        text, pad = f"{name} {score:.2f}", 2 * thick
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        width, height = right - left + 2 * pad, bottom - top + 2 * pad
        place = _place([v * factor for v in box], (width, height), picture.size, taken)
        taken.append(place)
        color = color_of(number)
        draw.rectangle(place, fill=color)
        ink = (0, 0, 0) if np.dot(color, (0.299, 0.587, 0.114)) > 130 else (255, 255, 255)
        draw.text((place[0] + pad - left, place[1] + pad - top), text, font=font, fill=ink)


def _place(box: list[float], size: tuple[float, float], picture: tuple[int, int], taken: list[_Place]) -> _Place:
    """Where a label goes: the first free one of the box's corners, outside before inside, and of the lines below."""
    (x0, y0, x1, y1), (width, height) = box, size
    wanted = [(x0, y0 - height), (x0, y0), (x1 - width, y0 - height), (x0, y1), (x0, y1 - height)]
    wanted += [(x0, y0 + k * height) for k in range(1, 6)]
    places = []
    for left, top in wanted:
        left, top = max(min(left, picture[0] - width), 0), max(min(top, picture[1] - height), 0)
        place = (left, top, left + width, top + height)
        if not any(_overlap(place, other) for other in taken):
            return place
        places.append(place)
    return places[0]


def _overlap(a: _Place, b: _Place) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
