"""Networks by their usual names, and by their options."""

from __future__ import annotations

from anyview.superresolution.network.edsr import EDSR
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.network.srgan import SRResNet
from anyview.superresolution.network.wdsr import WDSR, folded_state
from anyview.superresolution.options import NetworkOptions


def build(options: NetworkOptions, weight_norm: bool = True) -> Upscaler:
    """The network that the options describe, with random weights.

    Args:
        options: its architecture.
        weight_norm: whether a WDSR has it, as training wants it.
    """
    if options.arch == "edsr":
        return EDSR(options)
    return SRResNet(options) if options.arch == "srresnet" else WDSR(options, weight_norm)


def without_weight_norm(network: Upscaler) -> Upscaler:
    """A copy whose weight norm is multiplied out, for inference and files; its output is the same.

    Args:
        network: stays as it is; where it has no weight norm, the copy is a plain one.
    """
    copy = build(network.options, weight_norm=False).to(network.mean.device, network.mean.dtype)
    copy.load_state_dict(folded_state(network))
    return copy.train(network.training)


def edsr(scale: int = 4, num_blocks: int = 16, num_features: int = 64, residual_scaling: float = 1.0) -> EDSR:
    """EDSR (arXiv 1707.02921); the defaults are its baseline of 1.52 M parameters.

    Args:
        scale: 2, 3, 4 or 8.
        num_blocks: residual blocks; 32 in the large one.
        num_features: channels; 256 in the large one.
        residual_scaling: 0.1 in the large one.

    Returns:
        maps (B, 3, H, W), sRGB in [0, 1], to (B, 3, scale H, scale W), not clipped.

    Raises:
        OptionError: a value that cannot work.
    """
    return EDSR(NetworkOptions("edsr", scale, num_blocks, num_features, residual_scaling=residual_scaling))


def wdsr_a(
    scale: int = 4, num_blocks: int = 16, num_features: int = 32, expansion: int = 4, residual_scaling: float = 1.0
) -> WDSR:
    """WDSR-A (arXiv 1808.08718), with weight norm.

    Args:
        scale: 2, 3, 4 or 8.
        num_blocks: residual blocks.
        num_features: channels between blocks.
        expansion: channels within, times `num_features`.
        residual_scaling: of a block's output.

    Returns:
        see `edsr`.

    Raises:
        OptionError: a value that cannot work.
    """
    return WDSR(NetworkOptions("wdsr-a", scale, num_blocks, num_features, expansion, residual_scaling))


def wdsr_b(
    scale: int = 4, num_blocks: int = 32, num_features: int = 32, expansion: int = 6, residual_scaling: float = 1.0
) -> WDSR:
    """WDSR-B (arXiv 1808.08718), with weight norm; the defaults have 0.62 M parameters.

    Args:
        scale, num_blocks, num_features, expansion, residual_scaling: see `wdsr_a`.

    Returns:
        see `edsr`.

    Raises:
        OptionError: a value that cannot work.
    """
    return WDSR(NetworkOptions("wdsr-b", scale, num_blocks, num_features, expansion, residual_scaling))


def srresnet(scale: int = 4, num_blocks: int = 16, num_features: int = 64) -> SRResNet:
    """SRResNet, SRGAN's generator (arXiv 1609.04802); the defaults have 1.55 M parameters.

    Args:
        scale: 2, 3, 4 or 8.
        num_blocks: residual blocks.
        num_features: channels.

    Returns:
        maps (B, 3, H, W), sRGB in [0, 1], to (B, 3, scale H, scale W) in [0, 1].

    Raises:
        OptionError: a value that cannot work.
    """
    return SRResNet(NetworkOptions("srresnet", scale, num_blocks, num_features))
