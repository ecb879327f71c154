"""Which arithmetic a network gets where nobody says: bfloat16 on processors that have instructions for it.

Only networks for which that was measured to be safe and faster ask for it; see `LoopOptions.precision`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch

from anyview.compute.precision import quick_in_bfloat16
from anyview.training.options import LoopOptions

BFLOAT16: Final = "bf16-mixed"


def settled(loop: LoopOptions, *, on_processors: bool) -> LoopOptions:
    """The loop's options with the precision settled for this machine, where they leave it open.

    Args:
        loop: the options.
        on_processors: whether the network takes bfloat16 where a processor has instructions for it; on GPUs that has
            not been measured yet.
    """
    if loop.precision != "auto":
        return loop
    on_gpu = loop.device != "cpu" and torch.cuda.is_available()
    quick = on_processors and not on_gpu and quick_in_bfloat16("cpu")
    return replace(loop, precision=BFLOAT16 if quick else "32-true")


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """In its context networks compute as they did in training of this precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == BFLOAT16)
