"""`MipMLP` on processors, the encoding with it: where compiled ways can do its work, and which of the two does it.

- float32: `mip_float32`, kernels of our own;
- bfloat16, where autocast asks for it: `mip_bfloat16`, about as exact as autocast itself, and several times faster on
  processors with matrix units.

What both have in common: the encoding gets no gradient, and the bottleneck, which has no rectifier, is multiplied into
the head, W_h (W_b x) = (W_h W_b) x.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from anyview.radiance.cones import Gaussians
from anyview.radiance.fields import mip_bfloat16, mip_float32
from anyview.radiance.fields.mip_mlp import MipMLP

_EVEN = 32  # sizes that the kernels' tiles divide
_STRIP = 8  # rows of the encoding that they take together; in bfloat16 twice as many


def runs_here(mlp: MipMLP, places: Tensor) -> bool:
    """Whether this network can go a compiled way: float32 weights on a processor, even widths and degrees."""
    tensors = (places, *mlp.parameters())
    width, encoded = next(mlp.trunk.parameters()).shape
    sizes = (width, mlp.density.in_features, mlp.head.out_features)
    return (
        all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)
        and not places.requires_grad
        and all(size % _EVEN == 0 for size in sizes)
        and mlp.density.in_features == mlp.bottleneck.out_features
        and encoded % _STRIP == 0
        and (not torch.is_autocast_enabled("cpu") or (_is_bfloat16() and encoded % (2 * _STRIP) == 0))
    )


def field(
    mlp: MipMLP, gaussians: Gaussians, directions: Float[Tensor, "B V"]
) -> tuple[Float[Tensor, "B S"], Float[Tensor, "B S 3"]]:
    """What `mlp(integrated_encoding(*gaussians), directions)` gives; no gradient reaches the Gaussians.

    Args:
        mlp: one that `runs_here`.
        gaussians: in the world.
        directions: encoded unit directions.
    """
    way = mip_bfloat16 if _is_bfloat16() else mip_float32
    width = mlp.bottleneck.out_features
    places, sight = mlp.head.weight[:, :width], mlp.head.weight[:, width:]
    layers = [p for layer in mlp.trunk for p in (layer.weight, layer.bias)]
    keep = torch.is_grad_enabled() and any(p.requires_grad for p in mlp.parameters())
    with torch.autocast("cpu", enabled=False):
        seen = directions @ sight.T + (places @ mlp.bottleneck.bias + mlp.head.bias)
        fused = places @ mlp.bottleneck.weight
        raw = way.field(keep, *gaussians, seen, mlp.density.weight, mlp.color.weight, fused, *layers)
        return raw[..., 0] + mlp.density.bias, raw[..., 1:] + mlp.color.bias


def _is_bfloat16() -> bool:
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
