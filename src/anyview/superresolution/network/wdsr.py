"""WDSR (Yu et al. 2018, arXiv 1808.08718): wide activations in narrow blocks, weight norm, one shuffle at the end.

A: two 3x3 convolutions with many channels between. B: the wide part is 1x1, a third layer of 0.8 of the features looks
at the surroundings. A 5x5 convolution of the input itself is added to the result.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize

from anyview.superresolution.network.layers import Upscaler, check_images, conv, last_gain
from anyview.superresolution.network.wide import wide_block
from anyview.superresolution.options import NetworkOptions

_NARROW = 0.8  # of the features, in B (section 3.2)


class WDSR(Upscaler):
    """The network; see `anyview.superresolution.wdsr_b` for its usual arguments.

    Args:
        options: of arch "wdsr-a" or "wdsr-b".
        weight_norm: whether the convolutions learn norm and direction of their weights apart, as training wants it.
    """

    def __init__(self, options: NetworkOptions, weight_norm: bool = True) -> None:
        super().__init__(options)
        features, pixels = options.num_features, 3 * options.scale**2
        self.head = conv(3, features, 3)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options.num_blocks))
        self.tail = conv(features, pixels, 3)
        self.skip = conv(3, pixels, 5)
        if weight_norm:
            add_weight_norm(self)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 sH sW"]:
        """See `Upscaler.forward`."""
        check_images(images)
        colours = self.normalise(images)
        x = self.head(colours)
        for block in self.blocks:
            x = block(x)
        # a shuffle moves numbers only, so both branches go through one
        return self.denormalise(functional.pixel_shuffle(self.tail(x) + self.skip(colours), self.options.scale))


class Block(nn.Module):
    """Wide, ReLU, narrow (B: narrow, then 3x3), times a constant, added to the input.

    Args:
        options: of the network.
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__()
        gain = last_gain(options)
        features, wide = options.num_features, options.num_features * options.expansion
        if options.arch == "wdsr-a":
            self.wide = conv(features, wide, 3)
            self.narrow: nn.Module = conv(wide, features, 3, gain=gain)
        else:
            less = int(features * _NARROW)
            self.wide = conv(features, wide, 1)
            self.narrow = nn.Sequential(conv(wide, less, 1), conv(less, features, 3, gain=gain))
        self.scaling = options.residual_scaling

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The sum."""
        if isinstance(self.narrow, nn.Sequential) and self.scaling == 1 and _learns_on_a_processor(x):
            return wide_block(x, self.wide, *self.narrow)
        y = self.narrow(functional.relu(self.wide(x)))
        return x + (y if self.scaling == 1 else y * self.scaling)


def _learns_on_a_processor(x: Tensor) -> bool:
    return x.device.type == "cpu" and torch.is_grad_enabled()


def has_weight_norm(network: nn.Module) -> bool:
    """Whether any convolution has it."""
    return any(parametrize.is_parametrized(module, "weight") for module in network.modules())


def add_weight_norm(network: nn.Module) -> None:
    """Split the weights of all convolutions into norm and direction, per output channel; the function stays the same.

    Args:
        network: changed in place. Convolutions that have it keep it.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d) and not parametrize.is_parametrized(module, "weight"):
            parametrizations.weight_norm(module)


def folded_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict that the same network has without weight norm: norms and directions multiplied out.

    torch's own removal in place breaks every copy of the network, whose classes it shares (2.15).
    """
    state = {name: tensor for name, tensor in network.state_dict().items() if ".parametrizations." not in name}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            state[f"{name}.weight"] = module.weight.detach()
    return state
