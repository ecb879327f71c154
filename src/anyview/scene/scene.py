"""What every engine starts from: frozen views with cameras and poses, and what is known of the scene around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64

from anyview.cameras.models import Camera
from anyview.cameras.poses import check_pose, inverse
from anyview.errors import SceneError
from anyview.typing import Image, Mask, Pose


@runtime_checkable
class Pixels(Protocol):
    """Where a view's pixels come from; nothing is kept in memory between calls."""

    def read(self) -> tuple[Float32[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"] | None]:
        """sRGB in [0, 1] with straight alpha taken apart, and the mask (True on the object) or None."""
        ...

    def read_alpha(self) -> tuple[Float32[np.ndarray, "H W 3"], Float32[np.ndarray, "H W"] | None]:
        """The same with straight alpha in [0, 1] in place of the mask; a mask that has no shades gives 0 and 1."""
        ...

    def fingerprint(self) -> str:
        """A digest of the content: changes when, and only when, the pixels' source bytes change."""
        ...


@dataclass(frozen=True)
class ArrayPixels:
    """Pixels that are in memory already."""

    rgb: Float32[np.ndarray, "H W 3"] = field(repr=False)
    alpha: Bool[np.ndarray, "H W"] | None = field(default=None, repr=False)

    def read(self) -> tuple[Float32[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"] | None]:
        """See `Pixels.read`."""
        return self.rgb, self.alpha

    def read_alpha(self) -> tuple[Float32[np.ndarray, "H W 3"], Float32[np.ndarray, "H W"] | None]:
        """See `Pixels.read_alpha`."""
        return self.rgb, None if self.alpha is None else self.alpha.astype(np.float32)

    def fingerprint(self) -> str:
        """See `Pixels.fingerprint`."""
        import hashlib

        digest = hashlib.blake2b(np.ascontiguousarray(self.rgb).tobytes(), digest_size=16)
        if self.alpha is not None:
            digest.update(np.ascontiguousarray(self.alpha).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class View:
    """One posed image.

    Attributes:
        name: unique in its scene; the image's path relative to the scene, with its extension ("train/r_0.png").
        camera: intrinsics at the image's own size.
        world_from_cam: pose, 4x4 float64, OpenCV axes, scene units.
        pixels: where the image and its mask come from.
        split: "train", "val" or "test".
        path: the image's file, where there is one.
        near, far: depths between which the scene lies, scene units, where the source tells them.
        weight: of each of its pixels in a loss; a view that is a reduced image has 1 per pixel that went into one.
    """

    name: str
    camera: Camera
    world_from_cam: Pose
    pixels: Pixels
    split: str = "train"
    path: Path | None = None
    near: float | None = None
    far: float | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        near = 0.0 if self.near is None else self.near
        far = np.nextafter(np.inf, 0) if self.far is None else self.far
        if not 0 <= near < far < np.inf:
            actual = f"{self.near} and {self.far}"
            raise SceneError(
                "impossible depths", where=f"view {self.name}", expected="0 <= near < far, finite", actual=actual
            )
        if not 0 <= self.weight < np.inf:
            where = f"view {self.name}"
            raise SceneError("impossible weight", where=where, expected="0 or more, finite", actual=self.weight)
        pose = check_pose(self.world_from_cam, f"view {self.name}").copy()
        pose.setflags(write=False)
        object.__setattr__(self, "world_from_cam", pose)

    @property
    def cam_from_world(self) -> Pose:
        """The inverse pose."""
        return inverse(self.world_from_cam)

    @property
    def center(self) -> Float64[np.ndarray, "3"]:
        """The camera's position in the world, scene units."""
        return self.world_from_cam[:3, 3]

    def read(self) -> tuple[Image, Mask | None]:
        """Image and mask, decoded once.

        Raises:
            SceneError: the decoded size is not the camera's.
        """
        rgb, mask = self.pixels.read()
        self._check_size(rgb)
        return rgb, mask

    def read_alpha(self) -> tuple[Image, Float32[np.ndarray, "H W"] | None]:
        """Image and straight alpha in [0, 1] (None where every pixel counts), decoded once.

        Raises:
            SceneError: the decoded size is not the camera's.
        """
        rgb, alpha = self.pixels.read_alpha()
        self._check_size(rgb)
        return rgb, alpha

    def _check_size(self, rgb: Image) -> None:
        height, width = rgb.shape[:2]
        if (width, height) != (self.camera.width, self.camera.height):
            raise SceneError(
                "image size contradicts the camera",
                where=self.path or self.name,
                expected=f"{self.camera.width}x{self.camera.height}",
                actual=f"{width}x{height}",
                hint="resize the image, or fix the camera's size",
            )

    def image(self) -> Image:
        """sRGB in [0, 1], (H, W, 3) float32; straight colours, not blended with any background."""
        return self.read()[0]

    def mask(self) -> Mask | None:
        """True where the object is, (H, W); None where every pixel counts."""
        return self.read()[1]


@dataclass(frozen=True, eq=False)
class Scene:
    """Posed views and what is known of the space that they see.

    Attributes:
        views: in the order of the source; names are unique.
        root: the folder that it was read from, or None.
        format: the layout that it was read from ("blender", "nerfstudio", "colmap", "multiscale", "synthetic").
        bounds: axis-aligned box of interest in the world, (2, 3) lower and upper corner, or None.
        points: known surface points in the world, (N, 3), or None.

    Raises:
        SceneError: no view, or two views of the same name.
    """

    views: tuple[View, ...]
    root: Path | None = None
    format: str = "memory"
    bounds: Float64[np.ndarray, "2 3"] | None = None
    points: Float64[np.ndarray, "N 3"] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "views", tuple(self.views))
        where = self.root or "the scene"
        if not self.views:
            raise SceneError("no views", where=where, hint="point to a folder with posed images")
        seen: set[str] = set()
        for view in self.views:
            if view.name in seen:
                raise SceneError("two views have the same name", where=where, actual=view.name, hint="rename one")
            seen.add(view.name)

    def __len__(self) -> int:
        return len(self.views)

    def __iter__(self) -> Iterator[View]:
        return iter(self.views)

    def __getitem__(self, name: str) -> View:
        """The view of that name.

        Raises:
            SceneError: there is none.
        """
        for view in self.views:
            if view.name == name:
                return view
        raise SceneError("no such view", where=self.root or "the scene", actual=name)

    def where(self, keep: Callable[[View], bool]) -> Scene:
        """The scene with only the views that `keep` accepts."""
        return replace(self, views=tuple(v for v in self.views if keep(v)))

    def split(self, name: str) -> Scene:
        """The scene with only the views of one split ("train", "val", "test")."""
        return self.where(lambda view: view.split == name)
