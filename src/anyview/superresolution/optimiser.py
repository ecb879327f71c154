"""A network that learns: one step of Adam (arXiv 1412.6980), and the schedule of its rate."""

from __future__ import annotations

from math import cos, pi

import torch
from jaxtyping import Float
from lightning.fabric import Fabric
from torch import Tensor, nn

from anyview.superresolution.train_options import OptimiserOptions
from anyview.training.group import current


class Learner:
    """A network, its optimiser, and a step of both, together with other processes where there are some.

    Weights lie as torch makes them, with the input's channels last: torch's fused Adam on processors misreads gradients
    that lie otherwise than their weights (2.15), and convolutions order weights anew in any case.

    Args:
        fabric: of the loop.
        network: on its device.
        options: of the optimiser.

    Attributes:
        plain: the network.
        module: the same in the loop's precision.
        optimiser: its Adam.
    """

    def __init__(self, fabric: Fabric, network: nn.Module, options: OptimiserOptions) -> None:
        self._fabric, self._options, self.plain = fabric, options, network
        adam = torch.optim.Adam(network.parameters(), 1e-4, (0.9, options.beta2), fused=True)
        self.module, self.optimiser = fabric.setup(network, adam)

    def step(self, loss: Float[Tensor, ""], rate: float) -> Float[Tensor, ""]:
        """Go down a loss.

        Args:
            loss: of this process.
            rate: of learning.

        Returns:
            the mean over the processes, detached.
        """
        self.optimiser.zero_grad()
        self._fabric.backward(loss)
        mean = current().average(self.plain.parameters(), loss.detach()[None])[0]
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if self._options.clip:  # what is not finite is the loop's to report
            self._fabric.clip_gradients(
                self.module, self.optimiser, max_norm=self._options.clip, error_if_nonfinite=False
            )
        self.optimiser.step()
        return mean


def learning_rate(options: OptimiserOptions, rate: float, share: float) -> float:
    """The rate of a step.

    Args:
        options: of the optimiser.
        rate: that training begins with.
        share: how much of the training is behind, 0 to 1.
    """
    if options.schedule == "cosine":
        return rate * (options.last_rate + (1 - options.last_rate) * (1 + cos(pi * share)) / 2)
    return rate * options.drop ** sum(share >= end for end in options.drops)
