"""Nested states as JSON and flat tensors: what modules, optimisers and generators give as their `state_dict`.

Each container becomes an object that says which kind it is (`{"tuple": [...]}`), each tensor the name it has among the
flat tensors (`{"tensor": "state/network/weight"}`), so that the same structure comes back, keys that are numbers and
the versions that modules keep beside their states included.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def flatten(state: Any) -> tuple[Any, dict[str, Tensor]]:
    """A nested state as JSON-like values and named tensors: on the CPU, contiguous, none sharing another's memory.

    Raises:
        TypeError: something in it is no dict, list, tuple, tensor, number, string, bool or None.
    """
    tensors: dict[str, Tensor] = {}
    return _flatten(state, "state", tensors, set()), tensors


def restore(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The state that `flatten` was given.

    Raises:
        KeyError, TypeError, ValueError: the tree is not one that `flatten` makes, or a tensor is missing.
    """
    if not isinstance(tree, dict):
        return tree
    (kind, content), *others = tree.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "float":
        return float(content)
    if kind in ("list", "tuple"):
        items = [restore(item, tensors) for item in content]
        return items if kind == "list" else tuple(items)
    pairs = [(restore(key, tensors), restore(value, tensors)) for key, value in content]
    if kind == "dict":
        return dict(pairs)
    if kind != "ordered":
        raise ValueError(f"unknown kind {kind!r}")
    ordered: OrderedDict[Any, Any] = OrderedDict(pairs)
    for _, versions in others:
        ordered._metadata = restore(versions, tensors)  # type: ignore[attr-defined]
    return ordered


def _flatten(value: Any, path: str, tensors: dict[str, Tensor], storages: set[int]) -> Any:
    if isinstance(value, Tensor):
        name = path
        while name in tensors:  # the keys 1 and "1"
            name += "'"
        tensors[name] = _own(value, storages)
        return {"tensor": name}
    if isinstance(value, Mapping):
        pairs = [[_scalar(k, path), _flatten(v, f"{path}/{k}", tensors, storages)] for k, v in value.items()]
        if not isinstance(value, OrderedDict):
            return {"dict": pairs}
        versions = getattr(value, "_metadata", None)  # torch's modules keep theirs there
        extra = {} if versions is None else {"versions": _flatten(versions, f"{path}/_metadata", tensors, storages)}
        return {"ordered": pairs, **extra}
    if isinstance(value, list | tuple):
        items = [_flatten(item, f"{path}/{i}", tensors, storages) for i, item in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    return _scalar(value, path)


def _scalar(value: Any, path: str) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        finite = value - value == 0
        return float(value) if finite else {"float": str(float(value))}  # JSON has no word for these
    raise TypeError(f"{path} cannot be kept in a checkpoint: {type(value).__name__}")


def _own(tensor: Tensor, storages: set[int]) -> Tensor:
    plain = tensor.detach().cpu().contiguous()
    storage = plain.untyped_storage()
    if storage.data_ptr() in storages or storage.nbytes() != plain.nbytes:
        return plain.clone(memory_format=torch.contiguous_format)
    storages.add(storage.data_ptr())
    return plain
