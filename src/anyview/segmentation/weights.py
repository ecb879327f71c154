"""Weights from torchvision's server or from a file; nothing in a file is ever executed."""

from __future__ import annotations

import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from anyview.errors import FormatError, OptionError, is_out_of_memory
from anyview.segmentation.mask_rcnn import MaskRCNN
from anyview.segmentation.network.backbone import Backbone
from anyview.segmentation.network.layers import FrozenBatchNorm
from anyview.segmentation.network.state_keys import has_old_names, new_name
from anyview.segmentation.options import Body
from anyview.segmentation.weight_names import BODY, COCO, coco_version, refuse_body

COCO_V1: Final = {
    1: "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
    2: "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
}
"""By the model's version; a name ends with the start of the file's SHA-256."""

IMAGENET: Final[dict[Body, str]] = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet34": "https://download.pytorch.org/models/resnet34-b627a593.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "resnet101": "https://download.pytorch.org/models/resnet101-63fe2227.pth",
}
"""torchvision's classifiers trained on ImageNet (IMAGENET1K_V1), whose bodies these models have."""

HEADS: Final = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")
"""What depends on the number of classes."""

_DAMAGED = (  # what torch.load raises on other people's bytes
    pickle.UnpicklingError,
    SafetensorError,
    RuntimeError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    struct.error,
)
_SHOWN = 6  # tensors that an error names


def load_weights(model: MaskRCNN, weights: str | Path, reset_heads: bool = False, progress: bool = True) -> None:
    """Load weights into a model.

    Args:
        model: takes them; on an error it is as before.
        weights: "COCO_V1", torchvision's of 91 classes for the model's version, or "COCO_V1_V2", the same for version 2
            only, downloaded once into torch.hub's folder; or a file: .safetensors, or a state dict of torch.save.
        reset_heads: keep the model's own last layers where the number of classes differs.
        progress: whether a download draws a bar.

    Raises:
        OptionError: no connection, no such file, or tensors that do not fit; names them.
        FormatError: the file is damaged, or more than tensors.
    """
    refuse_body(str(weights))
    if weights in COCO:
        state = _downloaded(COCO_V1[coco_version(str(weights), model.options.version)], progress)
    else:
        state = read_state(Path(weights))
    old = has_old_names(state)
    state = {new_name(name): tensor for name, tensor in state.items()}
    _load(model, state, str(weights), reset_heads)
    if old:  # trained with an epsilon of 0, before torchvision's norms had one
        for module in model.modules():
            if isinstance(module, FrozenBatchNorm):
                module.eps = 0.0
        if model.options.frozen_norms:
            model.options = replace(model.options, norm_epsilon=0.0)


def load_state(model: MaskRCNN, state: dict[str, Tensor], where: str, reset_heads: bool = False) -> None:
    """Load another model's state dict into a model; see `load_weights`.

    Args:
        model: takes it; on an error it is as before.
        state: tensors by name.
        where: they come from, for errors.
        reset_heads: see `load_weights`.

    Raises:
        OptionError: tensors do not fit.
    """
    _load(model, state, where, reset_heads)


def load_body(model: MaskRCNN, weights: str | Path = BODY, progress: bool = True) -> None:
    """Load a classifier's weights into a model's ResNet.

    Args:
        model: its pyramid and heads stay as they are; on an error all does.
        weights: "IMAGENET1K_V1", torchvision's; or the file of such a classifier.
        progress: whether a download draws a bar.

    Raises:
        OptionError, FormatError: see `load_weights`.
    """
    if not isinstance(model.backbone, Backbone):
        raise OptionError(
            "the model has a backbone of your own", where=weights, expected="one of our ResNets",
            hint="load its weights before the model is built from it",
        )  # fmt: skip
    known = weights == BODY
    state = _downloaded(IMAGENET[model.options.body], progress) if known else read_state(Path(weights))
    body = {name: tensor for name, tensor in state.items() if name not in ("fc.weight", "fc.bias")}
    _load(model.backbone.body, body, str(weights), reset_heads=False)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Raises:
        OptionError, FormatError: see `load_weights`.
    """
    if not path.is_file():
        raise OptionError(
            "there is no such file of weights",
            where=path,
            expected="a path, or the name of weights that can be downloaded",
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise OptionError("the file of weights cannot be opened", where=path, actual=str(error)) from error
    except _DAMAGED as error:
        if is_out_of_memory(error):
            raise
        raise FormatError(
            "the file of weights cannot be read",
            where=path,
            expected=".safetensors, or a state dict of torch.save with tensors only",
            actual=str(error).splitlines()[0] if str(error) else type(error).__name__,
        ) from error
    return _tensors(state, path)


def _tensors(state: Any, path: Path) -> dict[str, Tensor]:
    """The state dict itself, or the one under `model`, where torchvision's training script puts it."""
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise FormatError(
            "the file holds no state dict", where=path, expected="tensors by name", actual=type(state).__name__
        )
    return dict(state)


def _downloaded(url: str, progress: bool) -> dict[str, Tensor]:
    """A file, checked against the hash in its name; from the second time on without a connection."""
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=progress, check_hash=True, weights_only=True
        )
    except OSError as error:  # URLError is one
        raise OptionError(
            "weights cannot be downloaded",
            where=url,
            actual=str(getattr(error, "reason", error)),
            hint="connect this machine once, or bring the file from another one and pass its path",
        ) from error
    except _DAMAGED as error:
        if is_out_of_memory(error):
            raise
        raise FormatError(
            "the download of weights is damaged", where=url, actual=str(error), hint="run it again"
        ) from error


def _load(model: nn.Module, state: dict[str, Tensor], where: str, reset_heads: bool) -> None:
    """Load what fits; raise OptionError before anything has changed where that is not all."""
    own = model.state_dict()
    counters = {name for name in own.keys() ^ state.keys() if name.endswith(".num_batches_tracked")}
    shapes = {name for name in own.keys() & state.keys() if own[name].shape != state[name].shape}
    heads = {name for name in shapes if name.startswith(HEADS)}
    if reset_heads:
        shapes -= heads
    missing, unknown = own.keys() - state.keys() - counters, state.keys() - own.keys() - counters
    wrong = [f"{name} {tuple(state[name].shape)}, here {tuple(own[name].shape)}" for name in own if name in shapes]
    wrong += [f"{name} missing" for name in own if name in missing]
    wrong += [f"{name} unknown" for name in state if name in unknown]
    if wrong:
        only_heads = shapes == heads and not missing and not unknown
        rest = [f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        raise OptionError(
            "the weights are for another number of classes" if only_heads else "the weights are not this model's",
            where=where,
            actual="; ".join(wrong[:_SHOWN] + rest),
            hint="pass reset_heads=True (--reset-heads) to start the last layers anew" if only_heads else None,
        )
    kept = counters | (heads if reset_heads else set())
    model.load_state_dict({name: own[name] if name in kept else state[name] for name in own})
