"""Where a run trains: which kind of device its options mean, and whether there are enough."""

from __future__ import annotations

from typing import Literal

import torch

from anyview.compute import cpu_count
from anyview.errors import OptionError
from anyview.training.options import LoopOptions


def chosen_device(options: LoopOptions) -> Literal["cpu", "cuda"]:
    """The kind of device.

    Raises:
        OptionError: there is none of it, or not so many.
    """
    there = torch.cuda.is_available()
    if options.device == "cuda" and not there:
        raise OptionError(
            "torch finds no GPU", expected="an NVIDIA GPU and a torch built for it",
            actual=f"torch {torch.__version__}",
            hint="use the processor (device cpu), or install torch for CUDA",
        )  # fmt: skip
    device: Literal["cpu", "cuda"] = "cuda" if options.device != "cpu" and there else "cpu"
    most = torch.cuda.device_count() if device == "cuda" else cpu_count()
    if options.devices > most:
        raise OptionError(
            "there are not so many devices", where="loop.devices",
            expected=f"at most {most} " + ("of the GPUs" if device == "cuda" else "of the processor's cores"),
            actual=options.devices,
        )  # fmt: skip
    return device
