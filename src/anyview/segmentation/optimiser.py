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


def make_optimiser(model: nn.Module, options: OptimiserOptions) -> torch.optim.Optimizer:
    """Of the weights that learn; a step is one pass over each weight and its averages."""
    weights = [p for p in model.parameters() if p.requires_grad]
    optimiser: torch.optim.Optimizer
    if options.kind == "adamw":
        optimiser = torch.optim.AdamW(weights, options.rate, weight_decay=options.weight_decay, fused=True)
    else:
        optimiser = torch.optim.SGD(
            weights, options.rate, momentum=options.momentum, weight_decay=options.weight_decay, fused=True
        )
    optimiser.register_load_state_dict_post_hook(_lay_out)
    return optimiser


def _lay_out(optimiser: torch.optim.Optimizer) -> None:
    """Averages from a checkpoint get their weight's order in memory (channels last), which fused steps rely on."""
    for weight, averages in optimiser.state.items():
        for name, value in averages.items():
            if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                averages[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


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
