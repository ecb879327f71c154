"""Every pixel of every training view in one table; batches of rays and colours by tensor indexing alone.

A row has one pixel's 8-bit colour and straight alpha; rows come view by view, each picture row by row. Letters: N
pixels, B rays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from anyview.formats.files import atomic_write
from anyview.progress import SILENT, Progress
from anyview.radiance.pictures import picture_camera, read_picture
from anyview.radiance.pixel_runs import PixelRuns, runs_of
from anyview.radiance.ray_table import RayTable, Shot
from anyview.radiance.rays import Rays
from anyview.scene.scene import View
from anyview.training.group import ALONE, Group

_GIB = 1 << 30


def shots_of(views: Sequence[View], downscale: int = 1) -> list[Shot]:
    """The cameras that rays are cast from, one per view; views have their near and far."""
    return [
        Shot(picture_camera(v.camera, downscale), v.world_from_cam, v.near or 0.0, v.far or np.inf, v.weight)
        for v in views
    ]


class TrainingPixels:
    """The pixels of some views, all equally likely to be drawn, whatever the sizes of their images.

    Args:
        views: with near and far; decoded here, one at a time.
        downscale: see `read_picture`.
        memory_gib: a table larger than this lies in a file, which the system reads as it is needed.
        folder: of that file.
        device: where batches are made.
        progress: told of every view.
        group: of processes that read the same views, of which the first writes the file.

    Raises:
        SceneError, FormatError: an image is missing, damaged, or contradicts its camera.
        WorkspaceError: the file cannot be written.
    """

    def __init__(
        self,
        views: Sequence[View],
        *,
        downscale: int = 1,
        memory_gib: float = 4.0,
        folder: Path | None = None,
        device: torch.device | str = "cpu",
        progress: Progress = SILENT,
        group: Group = ALONE,
    ) -> None:
        self.device = torch.device(device)
        shots = shots_of(views, downscale)
        self.table = RayTable(shots, self.device)
        self._widths = torch.tensor([shot.camera.width for shot in shots], device=self.device)
        counts = [shot.camera.width * shot.camera.height for shot in shots]
        self._counts = counts
        self._ends = torch.tensor(counts, device=self.device).cumsum(0)
        self.count = sum(counts)
        """N."""
        self.has_alpha = False
        """Whether batches have alpha."""
        self._with_alpha = [False] * len(shots)
        self._blanks = torch.zeros(len(shots), dtype=torch.bool, device=self.device)
        rows = self._read(views, downscale, progress)
        if 4 * self.count <= memory_gib * _GIB or folder is None:
            table = np.empty((self.count, 4), np.uint8)
            start = 0
            for values in rows:
                table[start : start + len(values)] = values
                start += len(values)
            self._pixels: UInt8[Tensor, "N 4"] = torch.from_numpy(table).to(self.device)
        else:
            path = folder / "pixels.bin"
            if group.is_first:
                with atomic_write(path) as temporary, temporary.open("wb") as stream:
                    for values in rows:
                        stream.write(values.tobytes())
            else:
                deque(rows, 0)  # what has alpha
            group.wait()
            # "c" lets torch have an array that it may write to, but nothing of that reaches the file
            self._pixels = torch.from_numpy(np.memmap(path, np.uint8, "c", shape=(self.count, 4)))

    def batch(
        self, generator: torch.Generator, count: int
    ) -> tuple[Rays, Float[Tensor, "B 3"], Float[Tensor, "B 1"] | None]:
        """Random pixels, with replacement: rays, straight colours, straight alpha (None where no view has any).

        Args:
            generator: on the device of the batches.
            count: B.
        """
        return self.at(torch.randint(self.count, (count,), generator=generator, device=self.device))

    def at(self, index: Int[Tensor, "B"]) -> tuple[Rays, Float[Tensor, "B 3"], Float[Tensor, "B 1"] | None]:
        """The pixels of these rows of the table, as `batch` gives them."""
        view = self.views_of(index)
        inside = index - torch.where(view > 0, self._ends[view - 1], 0)
        row = torch.div(inside, self._widths[view], rounding_mode="floor")
        rays = self.table.rays(view, row, inside - row * self._widths[view])
        values = self._pixels[index.to(self._pixels.device)].to(self.device)
        rgb, alpha = values[:, :3].float() / 255, values[:, 3:].float() / 255
        blank = self._blanks[view, None]
        rays = rays._replace(lossmult=torch.where(blank & (alpha == 0), 0.0, rays.lossmult))
        return rays, rgb, torch.where(blank, 1.0, alpha) if self.has_alpha else None

    def views_of(self, index: Int[Tensor, "B"]) -> Int[Tensor, "B"]:
        """Numbers of the views that these rows of the table belong to."""
        return torch.searchsorted(self._ends, index, right=True)

    def alpha_of(self, number: int) -> UInt8[np.ndarray, "H W"] | None:
        """The alpha of a view's picture; None where every pixel counts."""
        return self._alpha(number) if self._with_alpha[number] else None

    def _alpha(self, number: int) -> UInt8[np.ndarray, "H W"]:
        end, width = int(self._ends[number]), int(self._widths[number])
        return self._pixels[end - self._counts[number] : end, 3].cpu().numpy().reshape(-1, width)

    def near_the_object(self, reach: int) -> PixelRuns:
        """Rows of pixels with alpha, and of those within `reach` rows and columns of one."""
        kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)

        def near() -> Iterator[Bool[np.ndarray, " _"]]:
            for number in range(len(self._counts)):
                yield cv2.dilate((self._alpha(number) > 0).astype(np.uint8), kernel).view(bool).ravel()

        return runs_of(near(), self.device)

    def _read(self, views: Sequence[View], downscale: int, progress: Progress) -> Iterator[UInt8[np.ndarray, "_ 4"]]:
        """Rows of the table, one view after the other; a photograph's blank edges get alpha 0 and a mark."""
        with progress.stage("reading images", len(views)) as advance:
            for number, view in enumerate(views):
                picture = read_picture(view, downscale)
                alpha = np.full(picture.rgb.shape[:2], 255, np.uint8)
                if picture.alpha is not None:
                    self.has_alpha = self._with_alpha[number] = True
                    alpha = picture.alpha
                elif picture.known is not None:
                    self._blanks[number] = True
                    alpha = picture.known.astype(np.uint8) * np.uint8(255)
                yield np.dstack([picture.rgb, alpha]).reshape(-1, 4)
                advance()


def over(
    rgb: Float[Tensor, "B 3"], alpha: Float[Tensor, "B 1"] | None, background: float | Tensor
) -> Float[Tensor, "B 3"]:
    """Straight colours over a grey level, or over one colour per ray (B, 3)."""
    return rgb if alpha is None else rgb * alpha + (1 - alpha) * background
