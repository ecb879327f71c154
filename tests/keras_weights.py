"""Random weights as the TensorFlow 2 version has them, the `.h5` that Keras writes of them, and its forward pass.

The forward pass is written from TensorFlow's definitions, (B, H, W, C), colours 0 to 255, in float64 numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray[Any, Any]
Weights = list[tuple[str, dict[str, Array]]]
"""(layer's name, tensors by Keras's names), in Keras's order; layers without tensors are there, too."""

MEAN = np.array([0.4488, 0.4371, 0.4040]) * 255


class Maker:
    """Names and fills layers as one Keras session does."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.layers: Weights = []
        self.counts: dict[str, int] = {}

    def name(self, kind: str) -> str:
        index = self.counts[kind] = self.counts.get(kind, -1) + 1
        return f"{kind}_{index}" if index else kind

    def array(self, *shape: int, size: float = 1.0) -> Array:
        return (self.random.normal(size=shape) * size).astype(np.float32)

    def bare(self, kind: str) -> None:
        self.layers.append((self.name(kind), {}))

    def conv(self, size: int, inputs: int, outputs: int, name: str | None = None) -> None:
        name = name or self.name("conv2d")
        kernel = self.array(size, size, inputs, outputs, size=(size * size * inputs) ** -0.5)
        self.layers.append((name, {f"{name}/kernel:0": kernel, f"{name}/bias:0": self.array(outputs, size=0.1)}))

    def normed_conv(self, size: int, inputs: int, outputs: int, initialized: bool = True) -> None:
        name = self.name("weight_normalization")
        tensors = {
            f"{name}/g:0": np.abs(self.array(outputs)) + 0.1,
            f"{name}/kernel:0": self.array(size, size, inputs, outputs),
            f"{name}/bias:0": self.array(outputs, size=0.1),
            f"{name}/initialized:0": np.array(initialized),
        }
        self.layers.append((name, tensors))

    def norm(self, channels: int) -> None:
        name = self.name("batch_normalization")
        tensors = {
            "gamma": self.array(channels), "beta": self.array(channels), "moving_mean": self.array(channels),
            "moving_variance": np.square(self.array(channels)) * 0.01,  # small: the epsilon counts
        }  # fmt: skip
        self.layers.append((name, {f"{name}/{key}:0": value for key, value in tensors.items()}))

    def prelu(self, channels: int) -> None:
        name = self.name("p_re_lu")
        self.layers.append((name, {f"{name}/alpha:0": self.array(1, 1, channels, size=0.3)}))


def edsr_weights(scale: int, f: int, blocks: int, seed: int = 0) -> Weights:
    make = Maker(seed)
    make.layers += [("input_1", {}), ("lambda", {})]
    make.conv(3, 3, f)
    for _ in range(blocks):
        make.conv(3, f, f)
        make.conv(3, f, f)
        make.bare("add")
    make.conv(3, f, f)
    make.bare("add")
    for index, factor in enumerate({2: [2], 3: [3], 4: [2, 2]}[scale], 1):
        make.conv(3, f, f * factor**2, f"conv2d_{index}_scale_{factor}")
    make.conv(3, f, 3)
    return make.layers


def wdsr_weights(kind: str, scale: int, f: int, blocks: int, expansion: int, seed: int = 0) -> Weights:
    make = Maker(seed)
    make.layers += [("input_1", {}), ("lambda", {})]
    make.normed_conv(3, 3, f)
    for _ in range(blocks):
        if kind == "a":
            make.normed_conv(3, f, f * expansion)
            make.normed_conv(3, f * expansion, f)
        else:
            make.normed_conv(1, f, f * expansion)
            make.normed_conv(1, f * expansion, int(f * 0.8))
            make.normed_conv(3, int(f * 0.8), f)
        make.bare("add")
    make.normed_conv(3, f, 3 * scale**2)
    make.normed_conv(5, 3, 3 * scale**2)
    return make.layers


def srgan_weights(f: int, blocks: int, seed: int = 0) -> Weights:
    make = Maker(seed)
    make.layers += [("input_1", {}), ("lambda", {})]
    make.conv(9, 3, f)
    make.prelu(f)
    for _ in range(blocks):
        make.conv(3, f, f)
        make.norm(f)
        make.prelu(f)
        make.conv(3, f, f)
        make.norm(f)
        make.bare("add")
    make.conv(3, f, f)
    make.norm(f)
    for _ in range(2):
        make.conv(3, f, 4 * f)
        make.prelu(f)
    make.conv(9, f, 3)
    return make.layers


def write_h5(path: Path, weights: Weights, group: str | None = None, parts: int = 1) -> None:
    """The file as Keras writes it; in a group of `save`, or with names in several attributes."""
    import h5py

    with h5py.File(path, "w") as file:
        root = file.create_group(group) if group else file
        names = [name.encode() for name, _ in weights]
        if parts == 1:
            root.attrs["layer_names"] = names
        else:
            for index, part in enumerate(np.array_split(np.array(names), parts)):
                root.attrs[f"layer_names{index}"] = part
        root.attrs["backend"] = b"tensorflow"
        for name, tensors in weights:
            layer = root.create_group(name)
            layer.attrs["weight_names"] = [key.encode() for key in tensors]
            for key, value in tensors.items():
                layer.create_dataset(key, data=value)


def tensors_of(weights: Weights) -> list[dict[str, Array]]:
    return [{key.split("/")[-1][:-2]: value for key, value in tensors.items()} for _, tensors in weights if tensors]


def conv2d(x: Array, layer: dict[str, Array]) -> Array:
    """tf.nn.conv2d, padding SAME, stride 1; with tfa's weight norm."""
    kernel = layer["kernel"].astype(float)
    if "g" in layer and layer["initialized"]:
        kernel = kernel / np.sqrt(np.square(kernel).sum((0, 1, 2))) * layer["g"]
    half = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))
    windows = sliding_window_view(padded, kernel.shape[:2], (1, 2))  # (B, H, W, C, h, w)
    return np.einsum("bhwcij,ijco->bhwo", windows, kernel) + layer["bias"]


def depth_to_space(x: Array, r: int) -> Array:
    b, h, w, c = x.shape
    return x.reshape(b, h, w, r, r, c // r**2).transpose(0, 1, 3, 2, 4, 5).reshape(b, h * r, w * r, c // r**2)


def prelu(x: Array, layer: dict[str, Array]) -> Array:
    return np.where(x > 0, x, x * layer["alpha"])


def batch_norm(x: Array, layer: dict[str, Array]) -> Array:
    return (x - layer["moving_mean"]) / np.sqrt(layer["moving_variance"] + 1e-3) * layer["gamma"] + layer["beta"]


def edsr_forward(weights: Weights, x: Array, scale: int, scaling: float = 1.0) -> Array:
    head, *body, tail = tensors_of(weights)
    ups = {2: [2], 3: [3], 4: [2, 2]}[scale]
    middle, steps = body[: -len(ups)], body[-len(ups) :]
    x = first = conv2d((x - MEAN) / 127.5, head)
    for one, two in zip(middle[:-1:2], middle[1::2], strict=True):
        x = x + scaling * conv2d(np.maximum(conv2d(x, one), 0), two)
    x = first + conv2d(x, middle[-1])
    for layer, factor in zip(steps, ups, strict=True):
        x = depth_to_space(conv2d(x, layer), factor)
    return conv2d(x, tail) * 127.5 + MEAN


def wdsr_forward(weights: Weights, x: Array, kind: str, scale: int) -> Array:
    head, *body, main, skip = tensors_of(weights)
    colours = (x - MEAN) / 127.5
    x = conv2d(colours, head)
    size = 2 if kind == "a" else 3
    for start in range(0, len(body), size):
        wide, *narrow = body[start : start + size]
        y = np.maximum(conv2d(x, wide), 0)
        for layer in narrow:
            y = conv2d(y, layer)
        x = x + y
    return (depth_to_space(conv2d(x, main), scale) + depth_to_space(conv2d(colours, skip), scale)) * 127.5 + MEAN


def srgan_forward(weights: Weights, x: Array, blocks: int) -> Array:
    layers = iter(tensors_of(weights))
    x = first = prelu(conv2d(x / 255, next(layers)), next(layers))
    for _ in range(blocks):
        y = prelu(batch_norm(conv2d(x, next(layers)), next(layers)), next(layers))
        x = x + batch_norm(conv2d(y, next(layers)), next(layers))
    x = first + batch_norm(conv2d(x, next(layers)), next(layers))
    for _ in range(2):
        x = prelu(depth_to_space(conv2d(x, next(layers)), 2), next(layers))
    return (np.tanh(conv2d(x, next(layers))) + 1) * 127.5
