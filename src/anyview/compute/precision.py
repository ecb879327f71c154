"""Whether a device computes faster in bfloat16 than in float32: not every one that can, does."""

from __future__ import annotations

from typing import Literal

from anyview.compute import machine

_INSTRUCTIONS = {"AMX bf16", "AVX-512 bf16"}


def quick_in_bfloat16(device: Literal["cpu", "cuda"]) -> bool:
    """Whether it has instructions for products of bfloat16, and does not emulate them."""
    if device == "cpu":
        return bool(_INSTRUCTIONS & set(machine.cpu_features()))
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
