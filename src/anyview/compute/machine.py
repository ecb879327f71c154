"""What this machine is: versions, instruction sets, graphics cards, disk.

For `anyview doctor`, the summaries of runs, and benchmarks.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_FEATURES = {
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512f": "AVX-512",
    "avx512bf16": "AVX-512 bf16",
    "amx-bf16": "AMX bf16",
    "neon": "NEON",
    "bf16": "bf16",
    "sve": "SVE",
}


@dataclass(frozen=True)
class Gpu:
    """One graphics card, as its driver describes it."""

    name: str
    memory_bytes: int
    driver: str


def required() -> list[str]:
    """Distributions that anyview cannot do without, from the package's own metadata."""
    wanted = [text for text in metadata.requires("anyview") or [] if "extra ==" not in text]
    return [re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0] for text in wanted]


def version_of(distribution: str) -> str | None:
    """The installed version, without importing anything; None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Versions of Python, anyview and what it requires, for the record of a run."""
    found = {name: version_of(name) for name in ("anyview", *required())}
    return {"python": platform.python_version(), **{name: version for name, version in found.items() if version}}


def cpu_name() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_features() -> list[str]:
    """Instruction sets that matter for speed and that this processor has, as LLVM sees them."""
    from llvmlite import binding

    host = binding.get_host_cpu_features()
    return [label for key, label in _FEATURES.items() if host.get(key)]


def gpus() -> list[Gpu]:
    """NVIDIA's cards, asked of the driver's own tool; none where there is no such tool or it fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_gpus(text)


def parse_gpus(text: str) -> list[Gpu]:
    """Cards from lines `name, memory in MiB, driver`; lines that say something else are left out."""
    cards = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3 and fields[1].isdigit():
            cards.append(Gpu(fields[0], int(fields[1]) << 20, fields[2]))
    return cards


def free_disk_bytes(folder: Path) -> int:
    """Free space where `folder` is or would be made, bytes."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
