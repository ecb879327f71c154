"""Where the dense stage's kernels run: on the processor, or on an NVIDIA GPU through numba-cuda.

With `NUMBA_ENABLE_CUDASIM=1` numba runs GPU kernels in the interpreter: for tests, and only when asked for by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Literal, TypeAlias

from anyview.compute import machine
from anyview.errors import OptionError

Device: TypeAlias = Literal["auto", "cpu", "cuda"]

INSTALL = "pip install 'anyview[cuda]'"


@dataclass(frozen=True)
class Problem:
    """Why there is no GPU to run on, and what to do about it."""

    found: str
    hint: str


def resolve(device: Device) -> Literal["cpu", "cuda"]:
    """The device that the words stand for here: "auto" is a GPU that works, else the processor.

    Raises:
        OptionError: "cuda" where no GPU can be used.
    """
    if device == "cpu" or (device == "auto" and is_simulated()):
        return "cpu"
    problem = cuda_problem()
    if problem is None:
        return "cuda"
    if device == "auto":
        return "cpu"
    raise OptionError(
        "the dense stage finds no GPU", expected="an NVIDIA GPU that numba-cuda can use (--dense.device cuda)",
        actual=problem.found, hint=f"{problem.hint}, or use --dense.device cpu",
    )  # fmt: skip


@cache
def cuda_problem() -> Problem | None:
    """Why numba-cuda cannot be used; None where it can. Nothing is imported where it is not installed."""
    if is_simulated():
        return None
    if machine.version_of("numba-cuda") is None:
        return Problem("numba-cuda is not installed", INSTALL)
    try:
        cuda = import_module("numba.cuda")
        if not cuda.is_available():
            return Problem("no NVIDIA GPU or no driver", "see what `nvidia-smi` says")
        cuda.get_current_device()
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        return Problem(f"numba-cuda does not work: {words}", f"{INSTALL} --force-reinstall, and look at `nvidia-smi`")
    return None


def cuda_name() -> str:
    """The GPU that kernels run on, with its compute capability; call it only where `cuda_problem` finds none."""
    if is_simulated():
        return "numba's simulator"
    device = import_module("numba.cuda").get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else str(device.name)
    return f"{name} (compute capability {'.'.join(map(str, device.compute_capability))})"


def is_simulated() -> bool:
    """Whether numba plays GPU in the interpreter."""
    return bool(import_module("numba.core.config").ENABLE_CUDASIM)
