"""SIFT keypoints of masked views (Lowe 2004, through OpenCV), cached one file per view.

The object is cut out with a small margin and its surroundings are filled with its own smoothed colours, so that a
silhouette is no edge: it makes few keypoints, and the background never enters a descriptor.
Letters: M keypoints. Pixels are (x, y), the first pixel's centre at (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image as PillowImage
from scipy.ndimage import binary_dilation, distance_transform_edt

from anyview.compute import parallel_map
from anyview.progress import SILENT, Progress
from anyview.reconstruction.options import SparseOptions
from anyview.scene.scene import View
from anyview.typing import Grey, Image, Mask
from anyview.workspace import Workspace, atomic_write

MASK_CELL = 4  # pixels

_VERSION = 2  # part of the cache's key: raise it when keypoints change
_MARGIN = 16  # pixels kept around the object's box
_ALIGN = 8  # the cut starts on this grid, so that octaves sample the same pixels as in the whole image
_LAYERS = 3  # scales per octave (Lowe 2004, 3.2)
_SIGMA = 1.4  # blur of the first scale; Lowe's 1.6 finds a quarter fewer points, and they are placed less exactly
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class Features:
    """Keypoints of one view.

    Attributes:
        keypoints: x, y, scale (standard deviation of the blur, pixels), orientation (radians).
        descriptors: RootSIFT (Arandjelovic 2012) times 512, rounded to bytes.
        colors: sRGB of the pixel under each keypoint.
        inside: for each cell of MASK_CELL x MASK_CELL pixels whether the object is in it or in a cell beside it;
            None where every pixel counts.
    """

    keypoints: Float32[np.ndarray, "M 4"]
    descriptors: UInt8[np.ndarray, "M 128"]
    colors: UInt8[np.ndarray, "M 3"]
    inside: Bool[np.ndarray, "h w"] | None = None

    def __len__(self) -> int:
        return len(self.keypoints)


def detect(image: Image, mask: Mask | None, options: SparseOptions) -> Features:
    """Keypoints inside the mask whose blur does not reach over the silhouette, strongest first.

    Args:
        image: sRGB in [0, 1], straight colours.
        mask: True on the object, or None where every pixel counts.
    """
    grey = image @ _GREY
    left = top = 0
    inside = None
    if mask is not None:
        inside = _coarse(mask)
        if not mask.any():
            return Features(*_NOTHING, inside)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, left = (max(0, int(first[0]) - _MARGIN) // _ALIGN * _ALIGN for first in (rows, columns))
        window = np.s_[top : int(rows[-1]) + 1 + _MARGIN, left : int(columns[-1]) + 1 + _MARGIN]
        grey, image, mask = _fill(grey[window], mask[window]), image[window], mask[window]

    keypoints, descriptors = _sift(np.rint(grey * 255).clip(0, 255).astype(np.uint8), options)
    x = keypoints[:, 0].astype(np.int64).clip(0, grey.shape[1] - 1)
    y = keypoints[:, 1].astype(np.int64).clip(0, grey.shape[0] - 1)
    if mask is not None:
        deep = distance_transform_edt(mask)[y, x] > np.minimum(options.silhouette * keypoints[:, 2], 8.0)
        keypoints, descriptors, x, y = keypoints[deep], descriptors[deep], x[deep], y[deep]
    colors = np.rint(image[y, x] * 255).clip(0, 255).astype(np.uint8)
    return Features(keypoints + np.array([left, top, 0, 0], np.float32), descriptors, colors, inside)


def extract_features(
    workspace: Workspace, views: Sequence[View], options: SparseOptions, progress: Progress = SILENT
) -> list[Features]:
    """Keypoints of every view, one image per core; what an earlier run has finished is read back.

    Raises:
        SceneError: an image's size contradicts its camera.
        WorkspaceError: the disk is full or not writable.
    """

    def one(view: View) -> Features:
        path = workspace.root / ".anyview" / "features" / f"{view.name}.npz"
        key = (view.pixels.fingerprint(), options.max_features, options.peak_threshold, options.silhouette, _VERSION)
        task = workspace.task(f"features/{view.name}", key)
        if task.fresh:
            return _read(path)
        features = detect(*view.read(), options)
        with atomic_write(path) as temporary:
            np.savez(temporary, **{name: array for name, array in vars(features).items() if array is not None})
        task.done([path], keypoints=len(features))
        return features

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one image per core is faster than all cores on each image
    try:
        with progress.stage("features", len(views)) as advance:
            return list(parallel_map(one, views, advance=advance))
    finally:
        cv2.setNumThreads(threads)


def _sift(
    grey: UInt8[np.ndarray, "H W"], options: SparseOptions
) -> tuple[Float32[np.ndarray, "M 4"], UInt8[np.ndarray, "M 128"]]:
    """Keypoints and descriptors as `Features` holds them.

    OpenCV puts the first pixel's centre at (0, 0), gives a diameter and degrees, and by default doubles images in a way
    that shifts keypoints by a quarter of a pixel (its issue 23123).
    """
    sift = cv2.SIFT.create(
        nfeatures=options.max_features,
        nOctaveLayers=_LAYERS,
        contrastThreshold=_LAYERS * options.peak_threshold,
        enable_precise_upscale=True,
        sigma=_SIGMA,
    )
    found, described = sift.detectAndCompute(grey, None)
    if not found:
        return np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8)
    keypoints = np.array([(*k.pt, 0.5 * k.size, np.radians(k.angle)) for k in found], np.float32)
    keypoints[:, :2] += 0.5
    share = described / np.maximum(described.sum(1, keepdims=True), 1)
    return keypoints, np.rint(512 * np.sqrt(share)).clip(0, 255).astype(np.uint8)


def _read(path: Path) -> Features:
    with np.load(path) as stored:
        return Features(**{name: stored[name] for name in stored.files})


_NOTHING = (np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8), np.empty((0, 3), np.uint8))


def _coarse(mask: Mask) -> Bool[np.ndarray, "h w"]:
    height, width = (-(-n // MASK_CELL) * MASK_CELL for n in mask.shape)
    whole = np.zeros((height, width), bool)
    whole[: mask.shape[0], : mask.shape[1]] = mask
    cells = np.asarray(whole.reshape(height // MASK_CELL, MASK_CELL, width // MASK_CELL, MASK_CELL).any((1, 3)))
    return np.asarray(binary_dilation(cells, np.ones((3, 3), bool)))


def _fill(grey: Grey, mask: Mask) -> Grey:
    """Push-pull: outside the mask the mean of the nearest known pixels, from ever coarser levels (Gortler 1996)."""
    values, weights = PillowImage.fromarray(grey * mask), PillowImage.fromarray(mask.astype(np.float32))
    levels = [(np.asarray(values), np.asarray(weights))]
    while max(values.size) > 1:
        values, weights = values.reduce(2), weights.reduce(2)
        levels.append((np.asarray(values), np.asarray(weights)))
    filled = levels[-1][0] / np.maximum(levels[-1][1], 1e-9)
    for weighted, known in levels[-2::-1]:
        size = (weighted.shape[1], weighted.shape[0])
        coarse = np.asarray(PillowImage.fromarray(filled).resize(size, PillowImage.Resampling.BILINEAR))
        filled = np.where(known > 0, weighted / np.maximum(known, 1e-9), coarse)
    return np.asarray(filled, np.float32)
