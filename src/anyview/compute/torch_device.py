"""The device that a learned engine computes on."""

from __future__ import annotations

from typing import Literal, TypeAlias

from anyview.errors import OptionError

TorchDevice: TypeAlias = Literal["auto", "cpu", "cuda"]
Precision: TypeAlias = Literal["auto", "bf16", "float32"]


def torch_device(device: TorchDevice) -> Literal["cpu", "cuda"]:
    """What the word stands for here: "auto" is a CUDA device where torch can use one.

    Raises:
        OptionError: "cuda" where there is none.
    """
    import torch

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise OptionError(
            "there is no such device", where="--device", expected="a CUDA device that torch can use", actual="none",
            hint="use the processor (--device cpu), or install torch for CUDA",
        )  # fmt: skip
    return "cuda" if device != "cpu" and there else "cpu"
