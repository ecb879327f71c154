"""PatchMatch of one view on an NVIDIA GPU: `patch_match.match_view` with another engine.

What is cheap stays on the processor (scales, homographies, planes from one scale to the next). Packed images stay on
the device from view to view, since each view is a source of many. One thread at a time drives the device; the others
read, prepare and write meanwhile.
"""

from __future__ import annotations

import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np
from numba import cuda

from anyview.compute.device import is_simulated
from anyview.errors import OutOfMemoryError
from anyview.reconstruction.options import DenseOptions
from anyview.reconstruction.stereo.cuda_kernels import BLOCK, COUNTERS, Taps, bound_of, kernel
from anyview.reconstruction.stereo.hypotheses import State
from anyview.reconstruction.stereo.patch_match import (
    Planes,
    StereoView,
    initial_state,
    make_reference,
    make_sources,
    make_window,
    pack_view,
)
from anyview.reconstruction.stereo.sweeps import Pass, Sweep, lattice_of, lattice_shape, sweeps
from anyview.reconstruction.stereo.window import Reference, Sources

# coarse scales have few pixels, and numba-cuda would say at each launch that they do not fill the GPU
warnings.filterwarnings("ignore", message="Grid size .* under-utilization")


class CudaMatcher:
    """Runs passes on the GPU, and keeps packed images there.

    Args:
        keep_bytes: device memory for packed images, at most; None takes half of what is free.

    Attributes:
        seconds: for which the device was driven: transfers, kernels, and packing of images that it does not have.
    """

    def __init__(self, keep_bytes: int | None = None) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, int], Any] = OrderedDict()
        self._most = keep_bytes
        self.seconds = 0.0

    def match_view(
        self,
        reference: StereoView,
        sources: Sequence[StereoView],
        plan: Pass,
        before: Planes | None,
        *,
        rho_range: tuple[float, float],
        rho_step: float,
        radius: int = DenseOptions.window_radius,
        color_sigma: float = DenseOptions.color_sigma,
        most: int = DenseOptions.views_per_pixel,
        seed: int = 0,
    ) -> tuple[Planes, int]:
        """One pass over one view: arguments and results are those of `patch_match.match_view`.

        The planes differ from the processor's in the last bits of sums, and where these decide between two planes.

        Raises:
            OutOfMemoryError: the device has too little memory for one view and its sources.
        """
        ref = make_reference(reference, plan.scale, rho_range, rho_step)
        src = make_sources(reference, sources, plan.scale, pixels=())
        state = initial_state(reference, ref.grey, plan.scale, before)
        taps = Taps(*make_window(radius, color_sigma, plan.scale)[:5])
        todo = list(sweeps(plan, most, seed, begin=before is None))

        def run() -> tuple[State, int]:
            return _run(ref, src, taps, state, [self._packed(view, plan.scale) for view in sources], todo)

        with self._lock:
            begin = time.perf_counter()
            try:
                planes, compared = self._or_emptied(run)
            except Exception as error:
                if not _is_full(error):
                    raise
                raise OutOfMemoryError(
                    "the GPU's memory does not suffice", where=f"a view of {ref.grey.shape[::-1]} pixels",
                    hint="lower --dense.max-image-size or --dense.sources, or use --dense.device cpu",
                ) from error  # fmt: skip
            self.seconds += time.perf_counter() - begin
        return Planes(plan.scale, *planes), compared

    def _or_emptied(self, run: Callable[[], tuple[State, int]]) -> tuple[State, int]:
        """What `run` gives; where the device is full, without the images of other views beside it."""
        try:
            return run()
        except Exception as error:
            if not _is_full(error):
                raise
        self._kept.clear()  # here, where the exception's frames no longer hold what the first try sent
        return run()

    def _packed(self, view: StereoView, scale: int) -> Any:
        """The view's packed image on the device; kept if it has a name, the longest unused thrown away for it."""
        key = (view.name, scale)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        array = _sent(pack_view(view, scale))
        if view.name:
            self._kept[key] = array
            if self._most is None:
                self._most = _free_bytes() // 2
            while len(self._kept) > 1 and sum(a.nbytes for a in self._kept.values()) > self._most:
                self._kept.popitem(last=False)
        return array


def _run(
    ref: Reference, src: Sources, taps: Taps, state: State, packed: Sequence[Any], todo: Sequence[Sweep]
) -> tuple[State, int]:
    """The sweeps on the device; the planes after them and the number of windows compared."""
    height, width = ref.grey.shape
    bound = bound_of(len(packed))
    ref, taps, state = Reference(*map(_sent, ref)), Taps(*map(_sent, taps)), State(*map(_sent, state))
    src = Sources(_joined(packed), *map(_sent, src[1:]))
    counters = _sent(np.zeros(COUNTERS, np.int64))
    for sweep in todo:
        lattice = lattice_of(sweep)
        rows, columns = lattice_shape(lattice, height, width)
        if rows and columns:
            grid = (-(-columns // BLOCK[0]), -(-rows // BLOCK[1]))
            kernel(sweep.kind, bound)[grid, BLOCK](ref, src, taps, state, sweep, lattice, counters)
    return State(*map(_fetched, state)), int(_fetched(counters).sum())


def _sent(value: Any) -> Any:
    """An array's copy on the device (numba's simulator takes arrays in tuples as they are); anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    return value.copy() if is_simulated() else cuda.to_device(value)


def _fetched(array: Any) -> Any:
    return array if is_simulated() else array.copy_to_host()


def _joined(arrays: Sequence[Any]) -> Any:
    """Arrays on the device end to end, copied there."""
    if is_simulated():
        return np.concatenate(arrays)
    joined = cuda.device_array(sum(a.size for a in arrays), arrays[0].dtype)
    begin = 0
    for array in arrays:
        joined[begin : begin + array.size].copy_to_device(array)
        begin += array.size
    return joined


def _free_bytes() -> int:
    return 1 << 30 if is_simulated() else int(cuda.current_context().get_memory_info().free)


def _is_full(error: Exception) -> bool:
    return "OUT_OF_MEMORY" in str(error)
