"""Weights of the widely used Lightning port of mip-NeRF (`mipnerf_pl`), into our model.

Its layers are ours under other names; the state dict of a training run has `mip_nerf.` before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anyview.errors import FormatError
from anyview.radiance.fields.mip import MipNeRF

_NAMES = {
    "density_layer": "mlp.density",
    "extra_layer": "mlp.bottleneck",
    "view_layers.0.0": "mlp.head",
    "color_layer": "mlp.color",
}
_PREFIX = "mip_nerf.mlp."
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"), (_SCALAR, "numpy._core.multiarray.scalar"), np.dtype,
    np.dtypes.Float64DType,
]  # fmt: skip


def load_lightning_port(path: str | Path) -> MipNeRF:
    """The paper's model with the weights of a checkpoint of `mipnerf_pl`.

    Only tensors, numbers (NumPy's too, which its schedules leave behind) and plain values are read: nothing in the
    file is executed.

    Raises:
        FormatError: the file is missing or damaged, holds code, or is not such a checkpoint.
    """
    try:
        with torch.serialization.safe_globals(_NUMPY):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FormatError("no such checkpoint", where=path, hint="check the path") from error
    except Exception as error:  # torch raises whatever its parts raise
        raise FormatError(
            "not a checkpoint that can be read safely", where=path, expected="tensors and plain values only",
            actual=str(error).splitlines()[0] if str(error) else type(error).__name__,
        ) from error  # fmt: skip
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for k, v in state.items() if _is_ours(k)):
        raise FormatError("not a checkpoint with weights", where=path, expected="a state dict of tensors")
    model = MipNeRF()
    model.load_state_dict(port_weights(state, path))
    return model


def _is_ours(name: object) -> bool:
    return isinstance(name, str) and name.startswith(_PREFIX)


def port_weights(state: Mapping[str, Tensor], where: str | Path) -> dict[str, Tensor]:
    """A port's state dict under our names.

    Raises:
        FormatError: a layer is missing, unknown, or of another size.
    """
    wanted = MipNeRF().state_dict()
    out = {}
    for name, value in state.items():
        if not _is_ours(name):
            continue
        layer, _, kind = name.removeprefix(_PREFIX).rpartition(".")
        if layer.startswith("layers."):
            ours = f"mlp.trunk.{layer.split('.')[1]}.{kind}"
        else:
            ours = f"{_NAMES.get(layer, layer)}.{kind}"
        if ours not in wanted or wanted[ours].shape != value.shape:
            raise FormatError(
                "a layer that mip-NeRF does not have", where=where,
                expected=f"{_PREFIX}layers.0 to 7, {', '.join(_NAMES)} of the paper's sizes",
                actual=f"{name} {tuple(value.shape)}",
            )  # fmt: skip
        out[ours] = value
    missing = sorted(wanted.keys() - out.keys())
    if missing:
        raise FormatError(
            "layers are missing", where=where, expected=f"{len(wanted)} tensors", actual=f"none for {missing[0]}",
            hint="is it a checkpoint of mipnerf_pl?",
        )  # fmt: skip
    return out
