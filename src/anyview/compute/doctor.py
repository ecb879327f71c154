"""Is this machine fit for anyview? One check per line, and one line of advice for each problem."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from anyview.compute import device, machine
from anyview.compute.memory import available_memory_bytes, cpu_count

GIB = 1 << 30
_MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "fast-simplification": "fast_simplification"}
_OPTIONAL = {
    "torch": "the learned engines need it: pip install '.[learn]'",
    "torchvision": "the learned engines need it: pip install '.[learn]'",
}


@dataclass(frozen=True)
class Check:
    """What was looked at and found.

    Attributes:
        state: "fine", "note" (missing but not needed), "slow" (works, with a drawback), "broken" (will not work).
        advice: what to do about it; empty when fine.
    """

    name: str
    found: str
    state: Literal["fine", "note", "slow", "broken"] = "fine"
    advice: str = ""


def examine(folder: Path | None = None) -> list[Check]:
    """Look at everything; `folder` is where output would go (default: the current one)."""
    folder = folder or Path.cwd()
    checks = [_python(), *(_library(name) for name in machine.required()), _kernels(), _kernel_cache()]
    checks += [_processor(), _gpu(), _memory(available_memory_bytes()), _disk(folder, machine.free_disk_bytes(folder))]
    return checks + [_optional(name, advice) for name, advice in _OPTIONAL.items()]


def healthy(checks: list[Check]) -> bool:
    """Whether nothing required is broken."""
    return all(check.state != "broken" for check in checks)


def _python() -> Check:
    found = f"{sys.version.split()[0]}, anyview {machine.version_of('anyview') or 'not installed'}"
    return Check("python", found)


def _library(name: str, load: Callable[[str], object] = import_module) -> Check:
    version = machine.version_of(name)
    try:
        load(_MODULES.get(name, name))
    except Exception as error:
        found = "not installed" if version is None else f"{version}, but it does not load: {error}"
        return Check(name, found, "broken", f"pip install --force-reinstall {name}")
    return Check(name, version or "unknown version")


def _kernels() -> Check:
    """Compile and run one small function: fails where LLVM does not work on this machine."""
    try:
        import numba

        twice: Callable[[int], int] = numba.njit(lambda x: 2 * x)
        works = twice(21) == 42
    except Exception as error:
        return Check("kernels", f"do not compile: {error}", "broken", "pip install --force-reinstall numba llvmlite")
    if not works:
        return Check(
            "kernels", "compile, but compute wrongly", "broken", "pip install --force-reinstall numba llvmlite"
        )
    return Check("kernels", "compile")


def _kernel_cache() -> Check:
    """Where numba keeps compiled kernels: the variable, else beside the code, else the user's cache folder."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    package = Path(__file__).parents[1] / "reconstruction" / "__pycache__"
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for place in [Path(chosen)] if chosen else [package, user]:
        if _writable(place):
            return Check("kernel cache", str(place))
    return Check(
        "kernel cache",
        "nowhere to keep kernels",
        "slow",
        "set NUMBA_CACHE_DIR to a writable folder, or each run compiles anew",
    )


def _processor() -> Check:
    features = machine.cpu_features()
    cores = cpu_count()
    found = f"{machine.cpu_name()}, {cores} core{'s' * (cores > 1)}, {', '.join(features) or 'no wide instructions'}"
    if not {"AVX2", "NEON"} & set(features):
        return Check("processor", found, "slow", "no AVX2 or NEON: expect several times the usual time")
    if cores < 2:
        return Check("processor", found, "slow", "one core only: give the container more, or expect twice the time")
    return Check("processor", found)


def _gpu() -> Check:
    """Whether the dense stage can use one."""
    cards = machine.gpus()
    problem = device.cuda_problem()
    if device.is_simulated():
        problem = device.Problem("numba only simulates one", "unset NUMBA_ENABLE_CUDASIM")
    if not cards and problem is not None:
        return Check("gpu", "none found", "note", "not needed: everything runs on the processor")
    found = "; ".join(f"{card.name}, {card.memory_bytes / GIB:.0f} GiB, driver {card.driver}" for card in cards)
    if problem is not None:
        advice = f"the dense stage runs on the processor, because {problem.found}: {problem.hint}"
        return Check("gpu", found, "note", advice)
    return Check("gpu", f"{found or device.cuda_name()}; the dense stage runs on {device.cuda_name()}")


def _memory(available: int) -> Check:
    found = f"{available / GIB:.1f} GiB available"
    if available < 2 * GIB:
        return Check("memory", found, "slow", "below 2 GiB: close programs, or use --quality low")
    return Check("memory", found)


def _disk(folder: Path, free: int) -> Check:
    found = f"{free / GIB:.1f} GiB free in {folder}"
    if not _writable(folder):
        return Check("disk", found, "slow", "this folder is not writable: choose another with --out")
    if free < 5 * GIB:
        return Check("disk", found, "slow", "below 5 GiB: 100 views of 800x800 take about 2 GiB; choose another --out")
    return Check("disk", found)


def _optional(name: str, advice: str) -> Check:
    version = machine.version_of(name)
    return Check(name, version) if version else Check(name, "not installed", "note", advice)


def _writable(folder: Path) -> bool:
    """Whether a file can be made there, or where the folder would be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
