"""The dense stage's sweeps as CUDA kernels: one thread per pixel of the sweep's lattice, and the processor's own parts.

What a pixel does stands once, in `search.start_pixel`, `search.search_pixel` and `improve.visit`: numba-cuda compiles
the Python function behind a part for the GPU when a kernel calls it, and inlines it as the processor's kernels do. Here
are only the loop's other form and the work space of a pixel, which each thread has to itself.

A thread's work space is about 1.5 KB and lies in local memory: device memory, laid out so that the threads of a warp
read it together, through the caches. `BOUNDS` are the sizes that it is compiled for, in source views.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from anyview.jit import source_digest
from anyview.reconstruction.stereo.hypotheses import REGIONS, Scratch
from anyview.reconstruction.stereo.improve import Effort, visit
from anyview.reconstruction.stereo.search import search_pixel, start_pixel
from anyview.reconstruction.stereo.sweeps import SEARCH, START
from anyview.reconstruction.stereo.window import TAPS, Window

f4 = np.float32
u4 = np.uint32
i4 = np.int32

BOUNDS = (4, 8, 16, 32)
"""Sizes of the work space, source views; each is compiled when it is first needed."""

BLOCK = (8, 16)
"""Threads of a block, columns and rows of the lattice: neighbours sample the same parts of the sources."""

REGISTERS = 0
"""Registers that a thread may use at most; 0 leaves it to the compiler, which takes all 255."""

COUNTERS = 1024
"""Windows are counted in so many places, since threads that add to the same one wait for each other."""

_PAIR = 2 * TAPS
_ROWS = REGIONS + 1


class Taps(NamedTuple):
    """What `Window` holds that all pixels share; see there."""

    dx: np.ndarray
    dy: np.ndarray
    space: np.ndarray
    spread: np.float32
    color_scale: np.float32


def bound_of(sources: int) -> int:
    """The smallest work space that holds so many source views."""
    return next(bound for bound in BOUNDS if sources <= bound)


@cache
def kernel(kind: int, bound: int) -> Any:
    """The kernel of a kind of sweep, for at most `bound` source views; compiled at its first launch and kept on disk.

    It takes (Reference, Sources, Taps, State, Sweep, Lattice, counters), all arrays on the device; counters (COUNTERS,)
    int64 grow by the number of windows compared.
    """
    limit = {"max_registers": REGISTERS} if REGISTERS else {}  # the simulator does not know the word
    return cuda.jit(cache=True, fastmath=True, **limit)(sweep_function(kind, bound))


def sweep_function(kind: int, bound: int) -> Any:
    """The Python function behind `kernel`."""
    # numba-cuda keeps compiled kernels by this file's time and by the values that a function closes over: the stamp
    # makes it look at the files of the parts too, and at REGISTERS. No thread ever leaves because of it.
    stamp = 256 * int(source_digest()[:7], 16) + REGISTERS

    def sweep_pixel(ref, src, taps, state, sweep, lattice, counters):
        k, i = cuda.grid(2)
        height, width = ref.grey.shape
        y = lattice.first + lattice.rows * i
        x = lattice.columns * k + ((y + lattice.parity) & (lattice.columns - 1))
        if y >= height or x >= width or stamp < 0:
            return
        if not ref.grey[y, x] > f4(0):
            return
        weight = cuda.local.array(TAPS, f4)
        weighted = cuda.local.array(TAPS, f4)
        squared = cuda.local.array(TAPS, f4)
        word = cuda.local.array(_PAIR, u4)
        fu = cuda.local.array(_PAIR, f4)
        fv = cuda.local.array(_PAIR, f4)
        window = Window(
            taps.dx, taps.dy, taps.space, taps.spread, taps.color_scale, weight, weighted, squared, word, fu, fv
        )
        costs = cuda.local.array((_ROWS, bound), f4)
        scores = cuda.local.array(bound, f4)
        chosen = cuda.local.array(bound, i4)
        rho = cuda.local.array(_ROWS, f4)
        gx = cuda.local.array(_ROWS, f4)
        gy = cuda.local.array(_ROWS, f4)
        times = cuda.local.array(_ROWS, i4)
        price = cuda.local.array(_ROWS, f4)
        n = src.offset.size
        scratch = Scratch(costs[:, :n], scores[:n], chosen[:n], rho, gx, gy, times, price)
        if kind == START:
            compared = start_pixel(ref, src, window, state, scratch, sweep.most, sweep.seed, x, y)
        elif kind == SEARCH:
            compared = search_pixel(
                ref, src, window, state, scratch, sweep.most, sweep.alignments, sweep.iteration, sweep.seed,
                sweep.geometric, x, y
            )  # fmt: skip
        else:
            effort = Effort(sweep.alignments, sweep.geometric, sweep.most)
            compared = visit(ref, src, window, state, scratch, effort, sweep.lattice, x, y)
        cuda.atomic.add(counters, (i * 31 + k) & (COUNTERS - 1), compared)

    return sweep_pixel
