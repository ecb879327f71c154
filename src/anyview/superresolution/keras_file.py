"""Reads what Keras's `save_weights` and `save` write as HDF5: layers in order, each with tensors by name.

The root (of `save`: its group `model_weights`) has an attribute `layer_names`; the group of each layer has one,
`weight_names`, paths of its data sets within the group. Long attributes lie in parts: `layer_names0`, then 1 ...
"""

from __future__ import annotations

from itertools import count, takewhile
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from anyview.errors import FormatError, OptionError, is_out_of_memory

Layer: TypeAlias = dict[str, Tensor]
"""By the last word of a tensor's name, without its number: `kernel`, `bias`, `g`, `gamma` ...; float32, or bool."""


def read_layers(path: Path) -> list[Layer]:
    """The layers that have tensors, in the file's order.

    Raises:
        OptionError: no such file, or h5py is not installed.
        FormatError: the file is damaged, or not Keras's.
    """
    try:
        import h5py
    except ImportError as error:
        raise OptionError(
            "reading .h5 needs h5py, which is not installed", where=path, hint="run pip install 'anyview[learn]'"
        ) from error
    if not path.is_file():
        raise OptionError("there is no such file of weights", where=path, expected="a .h5 file of Keras")
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            layers = [_layer(root[name]) for name in _names(root, "layer_names")]
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        raise FormatError(
            "the file cannot be read", where=path, expected="HDF5 with the weights of a Keras model",
            actual=str(error).splitlines()[0] if str(error) else type(error).__name__,
        ) from error  # fmt: skip
    return [layer for layer in layers if layer]


def _names(group: Any, attribute: str) -> list[str]:
    """An attribute's words, of its parts where it has some."""
    parts = [attribute] if attribute in group.attrs else []
    if not parts:
        parts = list(takewhile(lambda part: part in group.attrs, (f"{attribute}{index}" for index in count())))
    if not parts:
        raise ValueError(f"no attribute {attribute}")
    words = [word for part in parts for word in np.asarray(group.attrs[part]).ravel().tolist()]
    return [word.decode() if isinstance(word, bytes) else str(word) for word in words]


def _layer(group: Any) -> Layer:
    layer: Layer = {}
    for name in _names(group, "weight_names"):
        value = np.asarray(group[name])
        word = name.rsplit("/", 1)[-1].split(":")[0]
        tensor = torch.from_numpy(value.astype(bool if value.dtype == bool else np.float32))
        if word in layer:
            raise ValueError(f"two tensors with the name {word} in {group.name}")
        if not tensor.isfinite().all():
            raise ValueError(f"{name} is not finite")
        layer[word] = tensor
    return layer
