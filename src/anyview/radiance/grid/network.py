"""The small network behind the grid: two hidden layers, rectified, without biases.

Letters: N samples, I inputs, H hidden features, O outputs; weights are (in, out).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def run_network(
    x: Float[Tensor, "N I"], w1: Float[Tensor, "I H"], w2: Float[Tensor, "H H"], w3: Float[Tensor, "H O"]
) -> Float[Tensor, "N O"]:
    """relu(relu(x w1) w2) w3; on processors by compiled kernels, where I, H and O are multiples of 16."""
    if x.device.type == "cpu" and x.dtype == torch.float32:
        return _Network.apply(x, w1, w2, w3)
    return network_with_torch(x, w1, w2, w3)


def network_with_torch(
    x: Float[Tensor, "N I"], w1: Float[Tensor, "I H"], w2: Float[Tensor, "H H"], w3: Float[Tensor, "H O"]
) -> Float[Tensor, "N O"]:
    """The definition."""
    return torch.relu(torch.relu(x @ w1) @ w2) @ w3


class _Network(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> Tensor:
        from anyview.radiance.kernels.network import run

        y = torch.empty((len(x), w3.shape[1]), dtype=torch.float32)
        run(*(part.detach().numpy() for part in (x, w1, w2, w3)), y.numpy())
        ctx.save_for_backward(x, w1, w2, w3)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, ...]:
        from anyview.radiance.kernels.network import PARTS, run_back

        x, *weights = ctx.saved_tensors
        transposed = [w.detach().t().contiguous() for w in weights]
        sums = [torch.zeros((PARTS, *w.shape)) for w in weights]
        dx = torch.empty_like(x)
        parts = [x, *weights, *transposed, given.contiguous(), dx, *sums]
        run_back(*(part.detach().numpy() for part in parts))
        return dx, *(s.sum(0) for s in sums)
