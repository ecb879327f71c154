"""Camera models: pinhole in closed form, every distorted model through COLMAP's own code.

A camera looks down +z, x right, y down. The centre of the first pixel is at (0.5, 0.5).
Letters: N points. Pixels are (x, y) in [0, width] x [0, height].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from anyview.errors import SceneError

_LARGEST_SIDE = 2**31 - 1  # pixels: image files and COLMAP count them in 32 bits
PINHOLE_MODELS = ("SIMPLE_PINHOLE", "PINHOLE")


@dataclass(frozen=True)
class Camera:
    """Intrinsics in COLMAP's terms.

    Attributes:
        model: COLMAP's name of the model, such as "PINHOLE" or "OPENCV".
        width, height: pixels.
        params: the model's parameters in COLMAP's order, pixels and dimensionless coefficients.

    Raises:
        SceneError: unknown model, wrong number of parameters, impossible sizes, or values that are not finite or not
            positive.
    """

    model: str
    width: int
    height: int
    params: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", tuple(float(p) for p in self.params))
        from anyview.cameras.colmap import pycolmap

        known = pycolmap.CameraModelId.__members__
        if self.model not in known or self.model == "INVALID":
            raise SceneError(
                "unknown camera model",
                expected="one of " + ", ".join(sorted(n for n in known if n != "INVALID")),
                actual=self.model,
            )
        if self.width < 1 or self.height < 1:
            raise SceneError(
                "camera without pixels", expected="width and height of at least 1", actual=f"{self.width}x{self.height}"
            )
        if max(self.width, self.height) > _LARGEST_SIDE:
            raise SceneError("camera with too many pixels", expected=f"width and height of at most {_LARGEST_SIDE}")
        example = pycolmap.Camera.create_from_model_name(1, self.model, 1.0, self.width, self.height)
        if not example.focal_length_idxs():
            raise SceneError("camera model without a focal length", expected="a perspective or fisheye camera",
                             actual=self.model, hint="cut the panorama into perspective images first")  # fmt: skip
        wanted = len(example.params)
        if len(self.params) != wanted:
            raise SceneError(
                f"wrong number of parameters for camera model {self.model}", expected=wanted, actual=len(self.params)
            )
        if not np.isfinite(self.params).all() or self.fx <= 0 or self.fy <= 0:
            raise SceneError("camera parameters must be finite with positive focal length", actual=self.params)

    @classmethod
    def pinhole(cls, width: int, height: int, fx: float, fy: float, cx: float, cy: float) -> Camera:
        """A PINHOLE camera; all lengths in pixels."""
        return cls("PINHOLE", width, height, (fx, fy, cx, cy))

    @property
    def is_pinhole(self) -> bool:
        """Whether rays and pixels are related by a 3x3 matrix alone."""
        return self.model in PINHOLE_MODELS

    @property
    def fx(self) -> float:
        """Focal length along x, pixels."""
        return self.params[0]

    @property
    def fy(self) -> float:
        """Focal length along y, pixels."""
        return float(self.params[self.to_colmap().focal_length_idxs()[-1]])

    @property
    def cx(self) -> float:
        """Principal point's x, pixels."""
        return float(self.params[self.to_colmap().principal_point_idxs()[0]])

    @property
    def cy(self) -> float:
        """Principal point's y, pixels."""
        return float(self.params[self.to_colmap().principal_point_idxs()[1]])

    @property
    def matrix(self) -> Float64[np.ndarray, "3 3"]:
        """Calibration matrix K; for a distorted model, that of its undistorted part."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    def resized(self, width: int, height: int) -> Camera:
        """The same lens with its image resampled to another size (focal lengths and centre scale, distortion stays)."""
        camera = self.to_colmap()
        camera.rescale(width, height)
        return replace(self, width=width, height=height, params=tuple(camera.params))

    def to_colmap(self) -> Any:
        """The same camera as a `pycolmap.Camera`, without an id."""
        from anyview.cameras.colmap import pycolmap

        return pycolmap.Camera(model=self.model, width=self.width, height=self.height, params=list(self.params))
