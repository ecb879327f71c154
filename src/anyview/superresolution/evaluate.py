"""How near a network's results are to the truth, on pairs of files.

Letters: h rows, w columns of a small picture; H and W of its large one; s is the scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8

from anyview.errors import FormatError, OptionError
from anyview.formats.images import image_header, read_rgb
from anyview.progress import SILENT, Progress
from anyview.superresolution.bicubic import imresize, shrunk
from anyview.superresolution.data.pairs import Pair, read_pair
from anyview.superresolution.enlarger import Enlarger
from anyview.superresolution.scores import Scores, mean_scores, scores
from anyview.superresolution.tiling import enlarged

Method: TypeAlias = "Callable[[UInt8[np.ndarray, 'h w 3']], UInt8[np.ndarray, 'H W 3']]"


@dataclass(frozen=True)
class Evaluation:
    """Scores of one set of pictures.

    Attributes:
        mean: over all.
        each: by the large pictures' names, in order.
        scale: of the upscaling.
    """

    mean: Scores
    each: dict[str, Scores]
    scale: int

    def labelled(self) -> dict[str, object]:
        """As it is written: the four means, the scale, and the pictures' own."""
        each = {name: one.labelled() for name, one in self.each.items()}
        return {**self.mean.labelled(), "scale": self.scale, "images": len(each), "each": each}


def evaluate(
    items: Sequence[Pair] | Sequence[Path], method: Method, scale: int, progress: Progress = SILENT
) -> Evaluation:
    """Scores of a method.

    Args:
        items: pairs; or large pictures, whose small ones are made by bicubic.
        method: enlarges a small picture, see `by_network` and `bicubic`.
        scale: how many times as large the results are.
        progress: told of every picture.

    Raises:
        FormatError: a damaged picture, or one that is too small for SSIM.
    """
    each: dict[str, Scores] = {}
    with progress.stage("eval", len(items)) as advance:
        for item in items:
            path = item.high if isinstance(item, Pair) else item
            low, truth = read_pair(item, scale) if isinstance(item, Pair) else _made(item, scale)
            try:
                found = scores(method(low), truth, scale)
            except OptionError as error:
                raise FormatError(error.what, where=path, expected=error.expected, actual=error.actual) from error
            name = path.stem if path.stem not in each else str(path)
            each[name] = found
            advance()
    return Evaluation(mean_scores(list(each.values())), each, scale)


def by_network(enlarger: Enlarger) -> Method:
    """What networks make of a picture."""
    return lambda low: enlarged(low, enlarger.enlarge, enlarger.tile)


def bicubic(scale: int) -> Method:
    """What MATLAB's imresize makes of a picture."""
    return lambda low: imresize(low, scale)


def _made(
    path: Path, scale: int
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "H W 3"] | UInt8[np.ndarray, "H W"]]:
    """The small picture of a large one, and the large one, whose sides become multiples of the scale."""
    high = read_rgb(path)
    height, width = (length // scale * scale for length in high.shape[:2])
    truth = high[:height, :width]
    return shrunk(truth, scale), truth[:, :, 0] if image_header(path).grey else truth
