"""One camera of every model that COLMAP undistorts."""

from __future__ import annotations

import numpy as np
import pycolmap

from anyview.cameras.models import Camera

MODELS = sorted(set(pycolmap.CameraModelId.__members__) - {"INVALID", "EQUIRECTANGULAR"})


def example(name: str) -> Camera:
    """A camera of that model with all its parameters different."""
    theirs = pycolmap.Camera.create_from_model_name(1, name, 500.0, 640, 480)
    params = np.array(theirs.params) + 0.5 * np.arange(len(theirs.params))
    extra = theirs.extra_params_idxs()
    params[extra] = np.array(theirs.params)[extra] + 0.001 * np.arange(1, len(extra) + 1)
    return Camera(name, 640, 480, tuple(params))
