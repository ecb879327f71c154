"""Compiles the CUDA kernels to PTX, which needs numba-cuda and NVVM but no GPU, and says what ptxas makes of them.

usage: python tests/cuda_assembly.py [MAJOR.MINOR ...] [--bound N] [--keep FOLDER]

Prints one line of JSON per kind of sweep and compute capability: lines of PTX, calls and double precision instructions
left in it and, where NVIDIA's assembler is installed, registers, bytes of local memory and of spilled registers.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
from numba import cuda

from anyview.reconstruction.stereo.cuda_kernels import COUNTERS, Taps, sweep_function
from anyview.reconstruction.stereo.hypotheses import State
from anyview.reconstruction.stereo.patch_match import StereoView, make_reference, make_sources, make_window
from anyview.reconstruction.stereo.sweeps import IMPROVE, SEARCH, START, Pass, lattice_of, sweeps

KINDS = {"start": START, "search": SEARCH, "improve": IMPROVE}


def arguments_of_a_launch() -> list[Any]:
    """Of the types that a launch has, whatever the values."""
    view = StereoView(np.ones((8, 8), np.uint8), np.eye(3), np.eye(4))
    planes = [np.zeros((8, 8), np.float32) for _ in range(4)]
    sweep = next(sweeps(Pass(0, light=1), 4, 0, begin=True))
    return [
        make_reference(view, 0, (0.1, 1.0), 0.1), make_sources(view, [view], 0), Taps(*make_window(5, 30.0)[:5]),
        State(*planes, np.zeros((8, 8), np.uint32)), sweep, lattice_of(sweep), np.zeros(COUNTERS, np.int64),
    ]  # fmt: skip


def ptx_of(kind: int, bound: int, capability: tuple[int, int]) -> str:
    """A kernel's assembly."""
    # a part called by a kernel is compiled for the device at hand; where there is none, for this one
    import_module("numba.cuda.dispatcher").get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    types = tuple(numba.typeof(a) for a in arguments_of_a_launch())
    ptx, _ = cuda.compile_ptx(sweep_function(kind, bound), types, fastmath=True, cc=capability)
    return str(ptx)


def assembler() -> str | None:
    """NVIDIA's ptxas: beside the libraries that numba-cuda uses, whose version it has, or on the path."""
    try:
        folders = list(import_module("nvidia").__path__)
    except ImportError:
        folders = []
    return next((str(p) for f in folders for p in Path(f).glob("*/bin/ptxas")), None) or shutil.which("ptxas")


def resources(ptx: str, capability: tuple[int, int]) -> dict[str, int]:
    """What ptxas says that a kernel needs per thread; empty without ptxas."""
    tool = assembler()
    if tool is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ptx"
        path.write_text(ptx)
        command = [tool, "-v", f"-arch=sm_{capability[0]}{capability[1]}", str(path), "-o", f"{folder}/kernel.cubin"]
        words = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", words)
    registers = re.search(r"Used (\d+) registers", words)
    assert frame, words
    assert registers, words
    return {"registers": int(registers[1]), "local_bytes": int(frame[1]), "spilled_bytes": int(frame[2])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capabilities", nargs="*", default=["9.0"])
    parser.add_argument("--bound", type=int, default=8)
    parser.add_argument("--keep", type=Path)
    words = parser.parse_args()
    for text in words.capabilities:
        capability = (int(text.split(".")[0]), int(text.split(".")[1]))
        for name, kind in KINDS.items():
            ptx = ptx_of(kind, words.bound, capability)
            if words.keep:
                words.keep.mkdir(parents=True, exist_ok=True)
                (words.keep / f"{name}_{text}.ptx").write_text(ptx)
            facts = {
                "kind": name, "capability": text, "bound": words.bound, "lines": ptx.count("\n"),
                "calls": len(re.findall(r"^\s*(?:@\S+\s+)?call", ptx, re.M)),
                "double": len(re.findall(r"\.f64", ptx)), **resources(ptx, capability),
            }  # fmt: skip
            print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
