"""The optimiser of a training, and its learning rate: warm-up, then drops or half a wave (arXiv 1608.03983).

The rate of stochastic gradient descent grows with the batch (arXiv 1706.02677, section 2.1).
"""

from __future__ import annotations

from math import cos, pi

import torch
from torch import nn

from anyview.segmentation.train_options import OptimiserOptions

_USUAL_BATCH = 16
_WARMUP_START = 1e-3
_WARMUP_SHARE = 0.1


class StepWeights:
    """A model's weights that learn, as an optimiser takes them: views with the dimensions in the order of the memory.

    Torch's fused steps on processors copy gradients whose channels are last, and silently misread a gradient or an
    average that lies otherwise than its weight (2.15).

    Args:
        model: on its device, in its final order in memory.
    """

    def __init__(self, model: nn.Module) -> None:
        self._weights = [p for p in model.parameters() if p.requires_grad]
        self._orders = [sorted(range(p.ndim), key=p.stride().__getitem__, reverse=True) for p in self._weights]
        self.views = [
            nn.Parameter(p.detach().permute(order)) for p, order in zip(self._weights, self._orders, strict=True)
        ]

    def take_gradients(self) -> None:
        """Give the views the weights' gradients; to be called between the backward pass and whatever uses them."""
        for weight, view, order in zip(self._weights, self.views, self._orders, strict=True):
            view.grad = None if weight.grad is None else weight.grad.permute(order).contiguous()


def make_optimiser(weights: StepWeights, options: OptimiserOptions) -> torch.optim.Optimizer:
    """A step is one pass over each weight and its averages."""
    if options.kind == "adamw":
        betas = (0.9, options.beta2)
        return torch.optim.AdamW(weights.views, options.rate, betas, weight_decay=options.weight_decay, fused=True)
    return torch.optim.SGD(
        weights.views, options.rate, momentum=options.momentum, weight_decay=options.weight_decay, fused=True
    )


def learning_rate(options: OptimiserOptions, step: int, share: float) -> float:
    """The rate of a step.

    Args:
        options: of the optimiser.
        step: steps that are done.
        share: how much of the training is behind, 0 to 1.
    """
    rate = options.rate * (options.batch / _USUAL_BATCH if options.kind == "sgd" else 1.0)
    if options.schedule == "cosine":
        rate *= options.last_rate + (1 - options.last_rate) * (1 + cos(pi * share)) / 2
    else:
        rate *= options.drop ** sum(share >= end for end in options.drops)
    risen = min(max(step / max(options.warmup_steps, 1), share / _WARMUP_SHARE), 1.0)
    return rate * (_WARMUP_START + (1 - _WARMUP_START) * risen)
