"""Weights in files that say what network they are for; nothing in a file is ever executed.

A file is safetensors. Its metadata hold `network`, the options as JSON, and notes of whoever wrote it. Weight norm is
multiplied out, so a file has one form; `anyview.superresolution.network.wdsr.add_weight_norm` brings it back to train.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from anyview.errors import FormatError, OptionError, is_out_of_memory
from anyview.superresolution.build import build, without_weight_norm
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.network.wdsr import folded_state
from anyview.superresolution.options import Arch, NetworkOptions
from anyview.training.checkpoint import write_tensors

SHIPPED: Final = Path(__file__).parents[1] / "weights" / "superresolution"
"""Where the package's own weights lie; a file's stem is its name."""

_KEY = "network"
_HINT = "convert weights of others with `anyview superres import`"


def load_weights(weights: str | Path, scale: int | None = None, arch: Arch | None = None) -> Upscaler:
    """A trained network.

    Args:
        weights: a name of weights that come with the package (see `names`), or a file of `save_weights`.
        scale: what the network must enlarge by; None takes any.
        arch: what the network must be; None takes any.

    Returns:
        the network in eval mode, on the processor, without weight norm.

    Raises:
        OptionError: no such weights, or of another scale or architecture.
        FormatError: the file is damaged, or not one of ours.
    """
    path = find_weights(weights)
    options, state = _read(path)
    for name, wanted, actual in (("scale", scale, options.scale), ("architecture", arch, options.arch)):
        if wanted is not None and wanted != actual:
            raise OptionError(
                f"the weights are for another {name}", where=weights, expected=f"{name} {wanted}",
                actual=f"{name} {actual} ({options})",
            )  # fmt: skip
    with torch.device("meta"):  # a file that lies about its size costs no memory
        _check_tensors(build(options, weight_norm=False).state_dict(), state, options, path)
    network = build(options, weight_norm=False)
    network.load_state_dict(state)
    return network.eval()


def save_weights(network: Upscaler, path: str | Path, notes: Mapping[str, str] | None = None) -> None:
    """Write a network's weights and options.

    Args:
        network: stays as it is.
        path: ends in .safetensors.
        notes: where the weights come from, by key: command, data, steps, seed, score ...

    Raises:
        OptionError: another ending, or a note with our own key.
        WorkspaceError: the disk is full, or the folder not writable.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise OptionError("weights are written in one format", where=path, expected=".safetensors", actual=path.suffix)
    if _KEY in (notes or {}):
        raise OptionError("a note has a key that is taken", where=path, actual=_KEY)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in folded_state(network).items()}
    write_tensors(path, state, {_KEY: json.dumps(asdict(network.options)), **(notes or {})})


def blend(first: Upscaler, second: Upscaler, share: float) -> Upscaler:
    """A network between two, by its weights (ESRGAN, arXiv 1809.00219, section 3.4): faithful to crisp.

    Args:
        first: as trained for the least error, say. Both stay as they are.
        second: the same, trained on as a GAN.
        share: of the second, 0 to 1.

    Returns:
        a network in eval mode, without weight norm.

    Raises:
        OptionError: the networks differ in more than weights, or the share is out of range.
    """
    if not 0 <= share <= 1:
        raise OptionError("option out of range", where="blend", expected="0 to 1", actual=share)
    if first.options != second.options:
        raise OptionError(
            "only weights of one architecture can be blended", expected=first.options, actual=second.options
        )
    network = without_weight_norm(first)
    others = folded_state(second)
    mixed = {
        name: own.lerp(others[name].to(own), share) if own.is_floating_point() else own
        for name, own in network.state_dict().items()
    }
    network.load_state_dict(mixed)
    return network.eval()


def names() -> list[str]:
    """The weights that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def read_notes(weights: str | Path) -> dict[str, str]:
    """What a file says about itself: `network`, and the notes that `save_weights` was given.

    Raises:
        OptionError, FormatError: see `load_weights`.
    """
    path = find_weights(weights)
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def find_weights(weights: str | Path) -> Path:
    """The file of a name or path.

    Raises:
        OptionError: there is none.
    """
    if str(weights) in names():
        return SHIPPED / f"{weights}.safetensors"
    if not Path(weights).is_file():
        raise OptionError("there are no such weights", where=weights, expected=", ".join([*names(), "or a file"]))
    return Path(weights)


def _read(path: Path) -> tuple[NetworkOptions, dict[str, Tensor]]:
    """The options and tensors of a file."""
    try:
        with safe_open(path, "pt") as file:
            words = (file.metadata() or {}).get(_KEY)
            if words is None:
                raise FormatError("the file does not say what network it is for", where=path, hint=_HINT)
            options = NetworkOptions(**json.loads(words))
            return options, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        if is_out_of_memory(error):
            raise
        raise _damaged(path, error) from error
    except (OptionError, TypeError, ValueError) as error:
        raise FormatError("the file describes no network of ours", where=path, actual=str(error)) from error


def _damaged(path: Path, error: Exception) -> FormatError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return FormatError("the file of weights cannot be read", where=path, expected=".safetensors", actual=reason)


def _check_tensors(own: Mapping[str, Tensor], state: Mapping[str, Tensor], options: NetworkOptions, path: Path) -> None:
    """Raise a FormatError where tensors are not those of the network, or not finite."""
    wrong = [name for name in own if name not in state or state[name].shape != own[name].shape]
    wrong += [name for name in state if name not in own]
    if wrong:
        raise FormatError(
            "the tensors are not those of the network that the file names", where=path, expected=options,
            actual=f"{len(wrong)} others, first {wrong[0]}",
        )  # fmt: skip
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise FormatError("the weights are not finite", where=path, actual=name)
