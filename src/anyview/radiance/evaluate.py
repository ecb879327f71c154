"""How well a field shows what it has not seen: PSNR, SSIM and, if asked for, LPIPS of every view and their means.

Whole images, colours clipped to [0, 1], truth composited as in training. Where an undistorted photograph has no pixels,
PSNR does not count; for SSIM and LPIPS, whose windows need neighbours, the render is the truth there. Views that are
done for the same checkpoint are not done again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from anyview.errors import OptionError
from anyview.formats.files import atomic_write
from anyview.formats.images import write_image
from anyview.progress import SILENT, Progress
from anyview.radiance.colors import colored
from anyview.radiance.data import shots_of
from anyview.radiance.image import render_view
from anyview.radiance.pictures import read_picture
from anyview.radiance.ray_table import Shot
from anyview.radiance.run import Run
from anyview.radiance.views import scale_of
from anyview.scene.scene import View
from anyview.training.memory import Chunk
from anyview.training.metrics import load_lpips, lpips, psnr, ssim
from anyview.typing import Image
from anyview.workspace.workspace import Task, Workspace

LARGEST_ERROR = 0.2
"""Mean over the colours, at the end of the error map's scale."""

_VERSION = 2  # of the figures; others are computed again


@dataclass(frozen=True)
class ViewFigures:
    """One view's."""

    name: str
    scale: int
    """How much smaller than its original the image is, per side."""
    psnr: float
    ssim: float
    lpips: float | None = None


@dataclass(frozen=True)
class Figures:
    """Of a split.

    Attributes:
        split: which.
        step: steps that the weights have seen.
        views: in the scene's order.
        folder: pictures of each view: truth, render, error.
    """

    split: str
    step: int
    views: tuple[ViewFigures, ...]
    folder: Path

    def means(self, scale: int | None = None) -> dict[str, float]:
        """Means of the figures over all views, or over those of one scale."""
        chosen = [asdict(v) for v in self.views if scale is None or v.scale == scale]
        names = [name for name in ("psnr", "ssim", "lpips") if chosen[0][name] is not None]
        return {name: float(np.mean([view[name] for view in chosen])) for name in names}

    @property
    def scales(self) -> list[int]:
        """Those that views have, rising."""
        return sorted({view.scale for view in self.views})

    def to_json(self) -> dict[str, Any]:
        """{"psnr", "ssim", "views": [{"name", "psnr", "ssim"}], "scales": {...}, "split", "step"}."""
        views = [{k: v for k, v in asdict(view).items() if v is not None} for view in self.views]
        scales = {str(scale): self.means(scale) for scale in self.scales}
        return {**self.means(), "split": self.split, "step": self.step, "scales": scales, "views": views}


def evaluate(
    run: Run,
    split: str = "test",
    scale: int | None = None,
    json_path: Path | None = None,
    *,
    with_lpips: bool = False,
    progress: Progress = SILENT,
) -> Figures:
    """Render a split's views, compare, write `RUN/eval/SPLIT/NAME.png` (truth, render, error) as each is done.

    Args:
        run: from `open_run`.
        split: "train", "val" or "test".
        scale: of a multi-scale scene, only views so much smaller than the original; of another, truth and render are
            made so much smaller (truth by means over squares).
        json_path: where the figures go, too.
        with_lpips: compute LPIPS as well; its weights are downloaded once. Where they cannot be had, that is said, and
            the figures go without.
        progress: told of every view.

    Raises:
        OptionError: no such views, or images too small for a figure.
        SceneError, FormatError: an image is missing or damaged.
        WorkspaceError: the folder cannot be written to.
    """
    views, downscale = _chosen(run, split, scale)
    folder = figures_folder(run, split, scale)
    workspace, chunk = Workspace(run.folder), Chunk(run.renderer.rays_at_once, note=progress.note)
    shots = shots_of(views, downscale)
    paths = [folder / picture_file(view.name, split) for view in views]

    def tasks() -> list[Task]:
        triples = zip(views, shots, paths, strict=True)
        return [_task(run, workspace, view, shot, path, downscale, with_lpips) for view, shot, path in triples]

    if with_lpips and not all(task.fresh for task in tasks()):
        try:
            load_lpips()
        except OptionError as error:
            progress.note(f"PSNR and SSIM only: {error}")
            with_lpips = False
    done = []
    with progress.stage(f"eval {split}", len(views)) as advance:
        for view, shot, path, task in zip(views, shots, paths, tasks(), strict=True):
            record = task.record()
            if record is None:
                picture = read_picture(view, downscale)
                truth = picture.over(run.background)
                seen = render_view(run.renderer, shot, chunk).rgb.clip(0, 1)
                if picture.known is not None:
                    seen[~picture.known] = truth[~picture.known]
                figures = view_figures(truth, seen, with_lpips, picture.known)
                with atomic_write(path) as temporary:
                    write_image(temporary, _side_by_side(truth, seen))
                record = task.done([path], **figures)
            found = ViewFigures(view.name, scale_of(view) * downscale, **record["notes"])
            progress.note(f"{view.name}: " + ", ".join(f"{k} {v:.4g}" for k, v in record["notes"].items()))
            done.append(found)
            advance()
    result = Figures(split, run.step, tuple(done), folder)
    if json_path is not None:
        with atomic_write(json_path) as temporary:
            temporary.write_text(json.dumps(result.to_json(), indent=1) + "\n")
    return result


def done_figures(run: Run, split: str) -> Figures | None:
    """What `evaluate` has left in the run's folder for these weights: its figures, or None where a view lacks them.

    LPIPS is there if all views have it. Nothing is rendered.
    """
    views, downscale = getattr(run.views, split), run.options.data.downscale
    folder, workspace = figures_folder(run, split), Workspace(run.folder)
    for with_lpips in (True, False):
        found = []
        for view, shot in zip(views, shots_of(views, downscale), strict=True):
            path = folder / picture_file(view.name, split)
            record = _task(run, workspace, view, shot, path, downscale, with_lpips).record() if path.is_file() else None
            if record is None:
                break
            found.append(ViewFigures(view.name, scale_of(view) * downscale, **record["notes"]))
        if views and len(found) == len(views):
            return Figures(split, run.step, tuple(found), folder)
    return None


def figures_folder(run: Run, split: str, scale: int | None = None) -> Path:
    """Where a split's pictures lie."""
    return run.folder / "eval" / (split if scale is None else f"{split}_scale{scale}")


def picture_file(name: str, split: str) -> str:
    """A view's file in the split's folder."""
    name = name.removeprefix(f"{split}/")
    return name if name.lower().endswith(".png") else f"{name}.png"


def _task(run: Run, workspace: Workspace, view: View, shot: Shot, path: Path, downscale: int, with_lpips: bool) -> Task:
    """A view's: what its figures and its picture are made from."""
    key = (_VERSION, run.digest, view.pixels.fingerprint(), asdict(shot), run.background, downscale, with_lpips)
    return workspace.task(path.relative_to(run.folder).as_posix(), key)


def _chosen(run: Run, split: str, scale: int | None) -> tuple[Sequence[View], int]:
    """The views, and how much smaller their pictures are to be made."""
    views, trained = run.views.split(split), run.options.data.downscale
    if scale is None:
        return views, trained
    if scale < 1:
        raise OptionError("option out of range", where="scale", expected="1 or more", actual=scale)
    if not run.views.multiscale:
        return views, scale
    chosen = [view for view in views if scale_of(view) * trained == scale]
    if not chosen:
        there = sorted({scale_of(view) * trained for view in views})
        raise OptionError(
            "no views of this scale", where=run.options.scene, expected="one of " + ", ".join(map(str, there)),
            actual=scale,
        )  # fmt: skip
    return chosen, trained


def view_figures(
    truth: Image, seen: Image, with_lpips: bool = False, known: Bool[np.ndarray, "H W"] | None = None
) -> dict[str, float]:
    """A picture's figures by name.

    Args:
        truth, seen: equal where nothing is known, so that SSIM and LPIPS find no fault there.
        with_lpips: whether LPIPS is among them.
        known: pixels that PSNR is of; by default all.

    Raises:
        OptionError: too small for a figure, or LPIPS cannot be had.
    """
    a, b = (torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None] for image in (seen, truth))
    counted = (a, b) if known is None else [image[:, :, torch.from_numpy(known)][:, :, None] for image in (a, b)]
    figures = {"psnr": min(float(psnr(*counted)), 100.0), "ssim": float(ssim(a, b))}
    return {**figures, "lpips": float(lpips(a, b))} if with_lpips else figures


def error_map(truth: Image, seen: Image) -> UInt8[np.ndarray, "H W 3"]:
    """Mean error over the colours, black none, yellow `LARGEST_ERROR` and more."""
    return colored(np.abs(seen - truth).mean(axis=2), 0, LARGEST_ERROR, "inferno")


def _side_by_side(truth: Image, seen: Image) -> np.ndarray:
    height, width = truth.shape[:2]
    sheet = np.empty((height, 3, width, 3), np.uint8)
    for row in range(height):  # one at a time: whole images of floats are many times a sheet's memory
        sheet[row, :2] = np.rint(np.stack([truth[row], seen[row]]) * 255)
        sheet[row, 2] = error_map(truth[row][None], seen[row][None])[0]
    return sheet.reshape(height, 3 * width, 3)
