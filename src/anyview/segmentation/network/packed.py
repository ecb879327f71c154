"""Convolutions for inference on processors: weights laid out beforehand, what follows them done on the way out.

PyTorch lays a convolution's weights out for oneDNN at every call, and goes through the result once more for a sum and
once more for ReLU. The operators here are PyTorch's, which its compiler puts in the same places; without it they take
images of any size at once. They are not part of its promises, so they are tried first: see `packable`.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class PackedConv(nn.Module):
    """A convolution whose weights do not change any more.

    Args:
        conv: with weights in bfloat16 or float32, on the processor.
        rectify: whether negative values always become 0.
    """

    def __init__(self, conv: nn.Conv2d, rectify: bool = False) -> None:
        super().__init__()
        assert not isinstance(conv.padding, str)
        self._shape = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
        self._dtype, self._bias, self._rectify = conv.weight.dtype, conv.bias, rectify
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(conv.weight.detach(), *self._shape)

    def forward(
        self, x: Float[Tensor, "B c h w"], beside: Float[Tensor, "B C H W"] | None = None, rectify: bool = False
    ) -> Float[Tensor, "B C H W"]:
        """The convolution, channels last; plus `beside`, which is overwritten, and ReLU where they are wanted."""
        relu = "relu" if rectify or self._rectify else "none"
        given = x.to(self._dtype), self._weight, self._bias, *self._shape
        if beside is None:
            return torch.ops.mkldnn._convolution_pointwise(*given, relu, [], "")
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            beside, *given, "add", 1.0, None if relu == "none" else relu, [], None
        )


@cache
def packable(dtype: torch.dtype) -> bool:
    """Whether PyTorch has these operators for weights of this dtype here, and they do what they are taken for."""
    if not torch.backends.mkldnn.is_available():
        return False
    g = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(16, 32, 3, 2, 1)
    x, beside = torch.rand((2, 16, 9, 11), generator=g), torch.rand((2, 32, 5, 6), generator=g) - 0.5
    with torch.no_grad():
        wanted = conv(x)
        last = beside.to(dtype).contiguous(memory_format=torch.channels_last)
        try:
            plain, both = PackedConv(conv.to(dtype))(x), PackedConv(conv, True)(x, last)
        except (AttributeError, RuntimeError, TypeError):
            return False
    pairs = ((plain, wanted), (both, functional.relu(wanted + beside)))
    return all(torch.allclose(found.float(), truth, rtol=0, atol=0.05) for found, truth in pairs)


def pack(model: nn.Module) -> None:
    """Pack a model's convolutions in place; norms have been folded.

    What its sequences of a convolution and ReLU have after the convolution becomes part of it.
    """
    for module in list(model.modules()):
        children = list(module.named_children())
        for name, child in children:
            if isinstance(child, nn.Conv2d):
                after = [n for n, c in children if isinstance(module, nn.Sequential) and isinstance(c, nn.ReLU)]
                setattr(module, name, PackedConv(child, rectify=bool(after)))
                for other in after:
                    setattr(module, other, nn.Identity())
