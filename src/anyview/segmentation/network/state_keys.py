"""Names of a model's tensors in files that torchvision wrote before its blocks were nested as they are now."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

_OLD = (
    (re.compile(r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)"), r"\1.0.\2"),
    (re.compile(r"(rpn\.head\.conv)\.(weight|bias)"), r"\1.0.0.\2"),
)
_OLD_MASK = re.compile(r"roi_heads\.mask_head\.mask_fcn(\d)\.(weight|bias)")


def new_name(name: str) -> str:
    """Today's name of a tensor."""
    for pattern, now in _OLD:
        if pattern.fullmatch(name):
            return pattern.sub(now, name)
    if found := _OLD_MASK.fullmatch(name):
        return f"roi_heads.mask_head.{int(found[1]) - 1}.0.{found[2]}"
    return name


def has_old_names(names: Iterable[str]) -> bool:
    """Whether a file is of that time; frozen norms then had no epsilon (pytorch/vision, pull request 2933)."""
    return any(new_name(name) != name for name in names)


def rename_old_keys(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A hook for `register_load_state_dict_pre_hook`."""
    for name in [name for name in state if name.startswith(prefix)]:
        now = prefix + new_name(name.removeprefix(prefix))
        if now != name:
            state[now] = state.pop(name)
