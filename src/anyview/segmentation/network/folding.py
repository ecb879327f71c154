"""Norms folded into the convolutions before them: the same function with less work, for inference."""

from __future__ import annotations

import copy
from collections.abc import Collection
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn

from anyview.segmentation.network.layers import FrozenBatchNorm

_Model = TypeVar("_Model", bound=nn.Module)


def fold_batch_norm(model: _Model, leave: Collection[str] = ()) -> _Model:
    """A copy in eval mode whose convolutions have swallowed the norms that follow them.

    With scale s = weight / sqrt(variance + epsilon), a convolution's weights become s w, its bias s (b - mean) + bias.
    The copy's state dict is not that of the model any more, and it cannot be trained further with norms that learn.

    Args:
        model: stays as it is; a norm follows the convolution that its module lists before it, as ours all do.
        leave: names of the model's parts whose norms stay.
    """
    folded = copy.deepcopy(model).eval()
    for path, module in list(folded.named_modules()):
        if path.partition(".")[0] in leave:
            continue
        children = list(module.named_children())
        for (_, conv), (name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d | FrozenBatchNorm):
                _fold(conv, norm)
                setattr(module, name, nn.Identity())
    return folded


@torch.no_grad()
def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d | FrozenBatchNorm) -> None:
    """Change a convolution in place; the products are in float64, so that only one rounding is added."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
    bias = 0 if conv.bias is None else conv.bias.double()
    shift = norm.bias.double() + (bias - norm.running_mean.double()) * scale
    conv.weight.copy_(conv.weight.double() * scale[:, None, None, None])
    conv.bias = nn.Parameter(shift.to(conv.weight.dtype), requires_grad=False)
