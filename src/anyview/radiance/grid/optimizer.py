"""Adam for tables of which a step touches few entries: the others, and their averages, stay as they are (Kingma and Ba
2015, arXiv 1412.6980; entries without gradient are left out as in Müller et al. 2022, arXiv 2201.05989).
"""

from __future__ import annotations

import torch
from torch import Tensor


class TableAdam(torch.optim.Optimizer):
    """Adam that leaves values with a gradient of exactly zero alone, and zeros in place of gradients."""

    def __init__(
        self, parameters: list[Tensor], lr: float, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-15
    ):
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; the gradients are zero afterwards, ready to be added to."""
        for group in self.param_groups:
            for value in group["params"]:
                if value.grad is None:
                    continue
                state = self.state[value]
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.int64)
                    state["mean"], state["square"] = torch.zeros_like(value), torch.zeros_like(value)
                state["step"] += 1
                first, second = group["betas"]
                step = int(state["step"])
                rate, scale = group["lr"] / (1 - first**step), 1 / (1 - second**step)
                _update(value, value.grad, state["mean"], state["square"], rate, first, second, scale, group["eps"])


def _update(
    value: Tensor, grad: Tensor, mean: Tensor, square: Tensor,
    rate: float, first: float, second: float, scale: float, eps: float,
) -> None:  # fmt: skip
    """`rate` and `scale` have the correction of the averages' bias in them."""
    if value.device.type == "cpu" and value.dtype == torch.float32:
        from anyview.radiance.kernels.adam import adam

        parts = (part.detach().view(-1).numpy() for part in (value, grad, mean, square))
        adam(*parts, rate, first, second, scale, eps)
        return
    touched = grad != 0
    mean.copy_(torch.where(touched, mean.lerp(grad, 1 - first), mean))
    square.copy_(torch.where(touched, square.lerp(grad * grad, 1 - second), square))
    value.sub_(torch.where(touched, rate * mean / ((square * scale).sqrt() + eps), torch.zeros_like(value)))
    grad.zero_()
