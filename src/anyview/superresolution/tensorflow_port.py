"""Weights of the widely used TensorFlow 2 version (`.h5` of Keras): EDSR, WDSR and SRGAN's generator.

What differs there: kernels are (H, W, in, out); `depth_to_space` numbers channels cell by cell, torch's `pixel_shuffle`
colour by colour; weight norm keeps g and v in a layer around the convolution; batch norms have an epsilon of 1e-3.
Colours go in as 0 to 255 and are normalised to what our networks see, so nothing else has to be scaled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anyview.errors import FormatError, OptionError
from anyview.superresolution.build import build
from anyview.superresolution.keras_file import Layer, read_layers
from anyview.superresolution.network.layers import Upscaler, shuffle_steps
from anyview.superresolution.options import NetworkOptions

_KERAS_EPSILON = 1e-3


def import_tensorflow(path: str | Path, residual_scaling: float = 1.0) -> Upscaler:
    """A network with the weights of a TensorFlow file; kind, scale and sizes are seen from the tensors.

    Args:
        path: the `.h5` file, of `save_weights` or `save`.
        residual_scaling: that it was trained with (`res_block_scaling`), which the file does not tell.

    Returns:
        the network in eval mode, without weight norm; `anyview.superresolution.weights.save_weights` writes it.

    Raises:
        OptionError: no such file, h5py is not installed, or weights of a network that we do not have.
        FormatError: the file is damaged, or its tensors make no network.
    """
    path = Path(path)
    layers = read_layers(path)
    try:
        options = _options_of(layers, residual_scaling)
        network = build(options, weight_norm=False)
        _FILLERS[options.arch](network, layers)
    except OptionError as error:
        raise OptionError("the network of the file is none of ours", where=path, actual=str(error)) from error
    except (KeyError, IndexError, ValueError, RuntimeError, StopIteration) as error:
        raise FormatError(
            "the layers are not those of EDSR, WDSR or SRGAN's generator", where=path,
            expected="a file of save_weights of the TensorFlow 2 version", actual=str(error) or type(error).__name__,
        ) from error  # fmt: skip
    return network.eval()


def kernel(layer: Layer) -> Float[Tensor, "O I h w"]:
    """A convolution's kernel as torch has it, weight norm multiplied out.

    Weight norm of a layer that never ran (`initialized` is false) has no norm of its own yet: g becomes |v|.
    """
    v = layer["kernel"].permute(3, 2, 0, 1)
    if "g" not in layer or not bool(layer.get("initialized", torch.tensor(True))):
        return v.contiguous()
    norm = v.flatten(1).square().sum(1).clamp_min(1e-12).sqrt()  # as tf.nn.l2_normalize
    return v * (layer["g"] / norm)[:, None, None, None]


def to_pixel_shuffle(tensor: Float[Tensor, "O ..."], factor: int) -> Float[Tensor, "O ..."]:
    """Output channels from the order of `depth_to_space` to that of `pixel_shuffle`.

    Args:
        tensor: channel k C + c goes to colour c of cell k = factor row + column.
        factor: cells along a side.

    Returns:
        the same, channel c factor^2 + k.
    """
    cells = factor**2
    return tensor.unflatten(0, (cells, len(tensor) // cells)).transpose(0, 1).flatten(0, 1).contiguous()


def _options_of(layers: list[Layer], scaling: float) -> NetworkOptions:
    """What the network is made of, by the shapes of its tensors."""
    convs = [layer["kernel"] for layer in layers if "kernel" in layer]
    if not convs or any(tensor.ndim != 4 for tensor in convs):
        raise ValueError("no convolutions, or others than of images")
    features = convs[0].shape[3]
    if any("g" in layer for layer in layers):
        (skip,) = (tensor for tensor in convs if tensor.shape[:3] == (5, 5, 3))
        narrow = convs[1].shape[0] == 1
        scale, blocks = math.isqrt(skip.shape[3] // 3), (len(convs) - 3) // (3 if narrow else 2)
        expansion = convs[1].shape[3] // features
        return NetworkOptions("wdsr-b" if narrow else "wdsr-a", scale, blocks, features, expansion, scaling)
    factors = [math.isqrt(tensor.shape[3] // features) for tensor in convs[1:-1] if tensor.shape[3] != features]
    blocks = (len(convs) - len(factors) - 3) // 2
    scale = math.prod(factors)
    if any("alpha" in layer for layer in layers):
        return NetworkOptions("srresnet", scale, blocks, features)
    return NetworkOptions("edsr", scale, blocks, features, residual_scaling=scaling)


def _fill_edsr(network: Upscaler, layers: list[Layer]) -> None:
    options = network.options
    names = ["head", *_in_blocks(options, ["conv1", "conv2"]), "body_end"]
    steps = shuffle_steps(options.scale)
    names += [f"upsample.{index}.conv" for index in range(len(steps))]
    given = iter([layer for layer in layers if "kernel" in layer])
    state: dict[str, Tensor] = {}
    for name in names:
        factor = steps[int(name.split(".")[1])] if name.startswith("upsample") else 1
        state |= _conv(name, next(given), factor)
    state |= _conv("tail", next(given))
    _load(network, state, given)


def _fill_wdsr(network: Upscaler, layers: list[Layer]) -> None:
    options = network.options
    inner = ["wide", "narrow"] if options.arch == "wdsr-a" else ["wide", "narrow.0", "narrow.1"]
    convs = [layer for layer in layers if "kernel" in layer]
    # Keras writes both ends of the network side by side, in either order
    (skip,) = (layer for layer in convs if layer["kernel"].shape[:3] == (5, 5, 3))
    given = iter([layer for layer in convs if layer is not skip])
    state: dict[str, Tensor] = {}
    for name in ["head", *_in_blocks(options, inner)]:
        state |= _conv(name, next(given))
    state |= _conv("tail", next(given), options.scale) | _conv("skip", skip, options.scale)
    _load(network, state, given)


def _fill_srresnet(network: Upscaler, layers: list[Layer]) -> None:
    options = network.options
    convs, norms, slopes = (iter([x for x in layers if key in x]) for key in ("kernel", "moving_variance", "alpha"))
    state = _conv("head.0", next(convs)) | _slope("head.1", next(slopes))
    for index in range(options.num_blocks):
        for part in ("1", "2"):
            state |= _conv(f"blocks.{index}.conv{part}", next(convs)) | _norm(f"blocks.{index}.norm{part}", next(norms))
        state |= _slope(f"blocks.{index}.activation", next(slopes))
    state |= _conv("body_end.0", next(convs)) | _norm("body_end.1", next(norms))
    for index, factor in enumerate(shuffle_steps(options.scale)):
        state |= _conv(f"upsample.{index}.0.conv", next(convs), factor)
        state |= _slope(f"upsample.{index}.1", next(slopes))
    state |= _conv("tail", next(convs))
    _load(network, state, convs, norms, slopes)


_FILLERS: dict[str, Callable[[Upscaler, list[Layer]], None]] = {
    "edsr": _fill_edsr,
    "wdsr-a": _fill_wdsr,
    "wdsr-b": _fill_wdsr,
    "srresnet": _fill_srresnet,
}


def _in_blocks(options: NetworkOptions, names: Iterable[str]) -> list[str]:
    return [f"blocks.{index}.{name}" for index in range(options.num_blocks) for name in names]


def _conv(name: str, layer: Layer, factor: int = 1) -> dict[str, Tensor]:
    """A convolution's tensors; with the factor of the shuffle that follows it."""
    return {
        f"{name}.weight": to_pixel_shuffle(kernel(layer), factor),
        f"{name}.bias": to_pixel_shuffle(layer["bias"], factor),
    }


def _norm(name: str, layer: Layer) -> dict[str, Tensor]:
    """A batch norm's; the variance takes the difference of the epsilons in, so that the output is the same."""
    return {
        f"{name}.weight": layer["gamma"],
        f"{name}.bias": layer["beta"],
        f"{name}.running_mean": layer["moving_mean"],
        f"{name}.running_var": layer["moving_variance"] + (_KERAS_EPSILON - nn.BatchNorm2d(1).eps),
        f"{name}.num_batches_tracked": torch.tensor(0),
    }


def _slope(name: str, layer: Layer) -> dict[str, Tensor]:
    return {f"{name}.weight": layer["alpha"].flatten()}


def _load(network: Upscaler, state: dict[str, Tensor], *rest: Iterator[Layer]) -> None:
    """Load strictly; raise a ValueError where layers are left over."""
    if any(next(layers, None) is not None for layers in rest):
        raise ValueError("more layers than the network has")
    network.load_state_dict(state)
