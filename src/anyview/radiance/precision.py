"""Which arithmetic a field's network gets where nobody says: bfloat16 where it was measured to cost next to nothing.

For mip-NeRF on processors `benchmarks/mip_precision.py` compares trainings in both precisions, and `mip_step.py` beside
it pictures of the same weights. Encodings, compositing and sampling are float32 in either.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch

from anyview.compute import machine
from anyview.radiance.options import RadianceOptions

BFLOAT16: Final = "bf16-mixed"
_INSTRUCTIONS = {"AMX bf16", "AVX-512 bf16"}


def with_precision(options: RadianceOptions) -> RadianceOptions:
    """The options with `loop.precision` settled for this machine, where they leave it open."""
    if options.loop.precision != "auto":
        return options
    on_gpu = options.loop.device != "cpu" and torch.cuda.is_available()
    quick = options.field == "mip" and not on_gpu and bool(_INSTRUCTIONS & set(machine.cpu_features()))
    return replace(options, loop=replace(options.loop, precision=BFLOAT16 if quick else "32-true"))


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """In its context networks compute as they did in training of this precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == BFLOAT16)
