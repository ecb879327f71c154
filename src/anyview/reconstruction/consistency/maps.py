"""A view's maps as fusion holds them, and a cache of them that never outgrows its ceiling.

Held per pixel: depth (4 bytes), normal (3 x int16), cost (1), colour (3), state (1): 15 bytes. The only thing that
fusion changes is the state; when a view leaves the cache before its turn has come, its used pixels go to a file, one
bit each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image as PillowImage

from anyview.compute import parallel_map
from anyview.errors import WorkspaceError
from anyview.formats.colmap import read_array
from anyview.reconstruction.consistency.agreement import NORMAL_SCALE, OUTSIDE, USED, Maps
from anyview.scene.scene import View
from anyview.workspace import Workspace

BYTES_HELD = 15
"""Per pixel, in the cache."""

BYTES_LOADING = 48
"""Per pixel, for the moment in which a view is read."""

BYTES_REDUCING = 20
"""Per pixel of a photograph that is larger than the maps, for the same moment."""


def load_maps(workspace: Workspace, view: View) -> Maps:
    """Read a view's depth, normals, cost and colours; pixels outside the mask lose their depth.

    Raises:
        FormatError: a map is missing or damaged.
        WorkspaceError: maps of different sizes.
        SceneError: the image contradicts the camera.
    """
    depth = read_array(workspace.depth_map(view.name)).copy()
    height, width = depth.shape[:2]
    normals = _sized(read_array(workspace.normal_map(view.name)), (height, width, 3), view.name)
    normal = np.empty((height, width, 3), np.int16)
    for c in range(3):
        normal[..., c] = np.rint(normals[..., c] * NORMAL_SCALE)
    del normals
    cost = np.zeros((height, width), np.uint8)
    if workspace.confidence_map(view.name).exists():
        measured = _sized(read_array(workspace.confidence_map(view.name)), (height, width), view.name)
        cost = np.rint(np.clip(measured, 0, 2) * 127.5).astype(np.uint8)
    rgb, mask = _pixels(view, width, height)
    state = np.zeros((height, width), np.uint8)
    if mask is not None:
        state[~mask] = OUTSIDE
        depth[~mask] = 0
    depth[~np.isfinite(depth) | (depth < 0)] = 0
    camera = view.camera.resized(width, height)
    return Maps(depth, normal, cost, rgb, state, np.array([camera.fx, camera.fy, camera.cx, camera.cy]))


class MapCache:
    """Maps of the views used last, within a number of bytes.

    Args:
        workspace: where the maps lie.
        views: all views, by index.
        spill: a folder for the used pixels of views that had to leave.
        ceiling: bytes held at most.
        workers: threads that read.
    """

    def __init__(
        self, workspace: Workspace, views: Sequence[View], spill: Path, ceiling: int, workers: int | None = None
    ) -> None:
        self._workspace, self._views, self._spill, self._ceiling = workspace, views, spill, ceiling
        self._workers = workers
        self._held: OrderedDict[int, Maps] = OrderedDict()
        self._finished: set[int] = set()
        self.bytes = 0
        self.peak_bytes = 0
        self.reads = 0

    def get(self, indices: Sequence[int]) -> list[Maps]:
        """Maps of these views; all of them stay until the next call."""
        missing = [i for i in indices if i not in self._held]
        wanted = set(indices)
        for index in indices:
            if index in self._held:
                self._held.move_to_end(index)
        room = sum(self._expected(i) for i in missing)
        while self._held and self.bytes + room > self._ceiling:
            oldest = next(iter(self._held))
            if oldest in wanted:
                break
            self._drop(oldest)
        for index, maps in zip(missing, parallel_map(self._load, missing, workers=self._workers), strict=True):
            self._held[index] = maps
            self.bytes += _size(maps)
            self.reads += 1
        self.peak_bytes = max(self.peak_bytes, self.bytes)
        return [self._held[i] for i in indices]

    def finish(self, index: int) -> None:
        """The view has had its turn: its used pixels need not be remembered."""
        self._finished.add(index)

    def _load(self, index: int) -> Maps:
        maps = load_maps(self._workspace, self._views[index])
        marks = self._spill / f"{index}.npy"
        if marks.exists() and index not in self._finished:
            used = np.unpackbits(np.load(marks), count=maps.state.size).reshape(maps.state.shape)
            maps.state[used > 0] |= USED
        return maps

    def _drop(self, index: int) -> None:
        maps = self._held.pop(index)
        self.bytes -= _size(maps)
        if index not in self._finished:
            np.save(self._spill / f"{index}.npy", np.packbits(maps.state & USED > 0))

    def _expected(self, index: int) -> int:
        return BYTES_HELD * map_pixels(self._workspace, self._views[index])


def map_pixels(workspace: Workspace, view: View) -> int:
    """Pixels of a view's depth map, from its header alone.

    Raises:
        FormatError: the map is missing or is none.
    """
    path = workspace.depth_map(view.name)
    try:
        with path.open("rb") as stream:
            width, height, *_ = stream.read(64).split(b"&", 3)
        return int(width) * int(height)
    except (OSError, ValueError):
        return int(read_array(path).size)  # says what is wrong


def loading_bytes(workspace: Workspace, view: View) -> int:
    """What reading a view takes for a moment, beside what is held afterwards."""
    pixels, photograph = map_pixels(workspace, view), view.camera.width * view.camera.height
    return BYTES_LOADING * pixels + (BYTES_REDUCING * photograph if photograph > pixels else 0)


def _size(maps: Maps) -> int:
    return sum(array.nbytes for array in maps)


def _sized(array: Float32[np.ndarray, "H W *C"], shape: tuple[int, ...], name: str) -> Float32[np.ndarray, "H W *C"]:
    if array.shape != shape:
        raise WorkspaceError(
            "maps of one view differ in size",
            where=name,
            expected="x".join(map(str, shape)),
            actual="x".join(map(str, array.shape)),
            hint="run `anyview dense` again",
        )
    return array


def _pixels(view: View, width: int, height: int) -> tuple[UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"] | None]:
    """Colours and mask at the maps' size. Where images are reduced, masked pixels do not bleed into colours."""
    image, mask = view.read()
    rgb = np.rint(image * 255).astype(np.uint8)
    del image
    if rgb.shape[:2] == (height, width):
        return rgb, mask
    size, area = (width, height), PillowImage.Resampling.BOX
    if mask is None:
        return np.asarray(PillowImage.fromarray(rgb).resize(size, area)), None
    weight = np.asarray(PillowImage.fromarray(mask.astype(np.float32)).resize(size, area))
    out = np.empty((height, width, 3), np.uint8)
    for c in range(3):
        plane = np.asarray(PillowImage.fromarray(rgb[..., c] * mask.astype(np.float32)).resize(size, area))
        out[..., c] = np.rint(plane / np.maximum(weight, 1e-6))
    return out, weight >= 0.5
