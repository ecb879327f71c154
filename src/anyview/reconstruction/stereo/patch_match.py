"""PatchMatch stereo of one view: sets up what the kernels read, and runs a pass over the scales.

A pass takes the planes of the pass before it (or none), works at one scale for some iterations, and gives planes back.
The schedule of passes and what lies on disk between them is `dense_tasks.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, UInt8, UInt32

from anyview.cameras.poses import inverse
from anyview.reconstruction.options import DenseOptions
from anyview.reconstruction.stereo.hypotheses import REGIONS, WORST, Scratch, State
from anyview.reconstruction.stereo.improve import Effort, improve
from anyview.reconstruction.stereo.pyramid import at_scale, refine_planes
from anyview.reconstruction.stereo.search import search, start
from anyview.reconstruction.stereo.sweeps import IMPROVE, SEARCH, START, Sweep, sweeps
from anyview.reconstruction.stereo.sweeps import Pass as Pass
from anyview.reconstruction.stereo.window import Reference, Sources, Window, pack
from anyview.typing import Pose


@dataclass(frozen=True)
class StereoView:
    """One view as stereo sees it, at the dense stage's full size.

    Attributes:
        grey: 1..255, 0 where masked out (H, W).
        matrix: calibration matrix, pixels, first pixel's centre at (0.5, 0.5).
        world_from_cam: pose, scene units.
        depth: the earlier pass's depth map at any scale (h, w), 0 = none; None without geometric consistency.
        name: views of the same name have the same image; a GPU keeps it. Without a name it is sent each time.
    """

    grey: UInt8[np.ndarray, "H W"]
    matrix: Float64[np.ndarray, "3 3"]
    world_from_cam: Pose
    depth: Float32[np.ndarray, "h w"] | None = None
    name: str = ""


@dataclass(frozen=True)
class Planes:
    """One plane per pixel at one scale: inverse depth (1 / scene units), its change per pixel, cost, source views."""

    scale: int
    rho: Float32[np.ndarray, "h w"]
    gx: Float32[np.ndarray, "h w"]
    gy: Float32[np.ndarray, "h w"]
    cost: Float32[np.ndarray, "h w"]
    views: UInt32[np.ndarray, "h w"]

    @property
    def depth(self) -> Float32[np.ndarray, "h w"]:
        """Depth map, scene units, 0 = none."""
        return np.divide(1, self.rho, out=np.zeros_like(self.rho), where=self.rho > 0)


def window_taps(radius: int) -> tuple[Float32[np.ndarray, " K"], Float32[np.ndarray, " K"]]:
    """Offsets of the window's taps: six by six over a square of side 2 radius + 1, without its four corners."""
    half = np.rint(np.array([0.2, 0.6, 1.0]) * radius)
    line = np.concatenate([-half[::-1], half]).astype(np.float32)
    dy, dx = (a.ravel() for a in np.meshgrid(line, line, indexing="ij"))
    keep = (np.abs(dx) + np.abs(dy)) < 2 * radius
    return dx[keep].copy(), dy[keep].copy()


def make_window(radius: int, color_sigma: float, scale: int = 0) -> Window:
    """Taps and work space; `color_sigma` in grey levels of 255, at full size.

    It grows by the square root of 2 from scale to scale: a coarser pixel's neighbours lie further away on the surface
    and differ more, and what weighs little is not compared.
    """
    color_sigma *= 2 ** (scale / 2)
    dx, dy = window_taps(radius)
    space = np.exp(-(dx**2 + dy**2) / (2.0 * radius**2)).astype(np.float32)
    spread = np.float32((space * dx**2).sum() / space.sum())
    weights = [np.zeros_like(dx) for _ in range(3)]
    samples = [np.zeros(2 * dx.size, kind) for kind in (np.uint32, np.float32, np.float32)]
    return Window(dx, dy, space, spread, np.float32(1 / (2 * color_sigma**2)), *weights, *samples)


def make_reference(view: StereoView, scale: int, rho_range: tuple[float, float], rho_step: float) -> Reference:
    """The reference at a scale; `rho_step` is the inverse depth per pixel of displacement at full size."""
    k, f = view.matrix / 2.0**scale, np.float32
    return Reference(
        at_scale(view.grey, scale), f(k[0, 0]), f(k[1, 1]), f(k[0, 2]), f(k[1, 2]),
        f(rho_range[0]), f(rho_range[1]), f(rho_step * 2**scale),
    )  # fmt: skip


def pack_view(view: StereoView, scale: int) -> UInt32[np.ndarray, " N"]:
    """A view's packed image at a scale, see `window.pack`."""
    grey = at_scale(view.grey, scale)
    pixels = np.zeros((grey.shape[0] + 1) * (grey.shape[1] + 1), np.uint32)
    pack(np.rint(grey).astype(np.uint8), pixels, 0)
    return pixels


def make_sources(reference: StereoView, sources: Sequence[StereoView], scale: int, pixels: Any = None) -> Sources:
    """The sources at a scale, packed end to end, with the homographies' parts in float32 (computed in float64).

    Args:
        reference, sources: the views.
        scale: 0 is full size.
        pixels: the sources' packed images end to end, where they have been made already.
    """
    shapes = [tuple(-(-side >> scale) for side in s.grey.shape) for s in sources]
    offsets = np.concatenate([[0], np.cumsum([(h + 1) * (w + 1) for h, w in shapes])]).astype(np.int32)
    if pixels is None:
        pixels = np.concatenate([pack_view(s, scale) for s in sources])
    forward = np.concatenate([_homography_parts(reference, s, scale) for s in sources])
    backward = np.concatenate([_homography_parts(s, reference, scale) for s in sources])
    depths = [np.zeros((1, 1), np.float32) if s.depth is None else s.depth for s in sources]
    depth_offsets = np.concatenate([[0], np.cumsum([d.size for d in depths])]).astype(np.int32)
    return Sources(
        pixels=pixels,
        offset=offsets[:-1],
        width=np.array([w for _, w in shapes], np.int32),
        height=np.array([h for h, _ in shapes], np.int32),
        forward=forward,
        backward=backward,
        depth=np.concatenate([d.ravel() for d in depths]),
        depth_offset=depth_offsets[:-1],
        depth_width=np.array([d.shape[1] for d in depths], np.int32),
        depth_height=np.array([d.shape[0] for d in depths], np.int32),
    )


def _homography_parts(target: StereoView, source: StereoView, scale: int) -> Float32[np.ndarray, "12"]:
    """A = K_s R K_t^-1 by rows, then b = K_s t, of `source` seen from `target` (named as reference and source)."""
    shrink = np.diag([0.5**scale, 0.5**scale, 1.0])
    k_target, k_source = shrink @ target.matrix, shrink @ source.matrix
    source_from_target = inverse(source.world_from_cam) @ target.world_from_cam
    a = k_source @ source_from_target[:3, :3] @ np.linalg.inv(k_target)
    b = k_source @ source_from_target[:3, 3]
    return np.concatenate([a.ravel(), b]).astype(np.float32)


def match_view(
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
    """Run one pass.

    Args:
        reference, sources: the views; at most 32 sources.
        plan: what to do.
        before: planes of an earlier pass at the same scale or a coarser one, or None for random ones.
        rho_range: smallest and largest inverse depth, 1 / scene units.
        rho_step: change of inverse depth that moves a match by one pixel at full size.
        radius: of the window, pixels.
        color_sigma: of the window's bilateral weight at full size, grey levels of 255.
        most: sources per pixel.
        seed: of all random draws.

    Returns:
        The planes, and the number of windows compared.
    """
    ref = make_reference(reference, plan.scale, rho_range, rho_step)
    src = make_sources(reference, sources, plan.scale)
    window = make_window(radius, color_sigma, plan.scale)
    state = initial_state(reference, ref.grey, plan.scale, before)
    scratch = _make_scratch(len(sources))
    compared = 0
    for sweep in sweeps(plan, most, seed, begin=before is None):
        compared += _run(sweep, ref, src, window, state, scratch)
    return Planes(plan.scale, *state), compared


def _run(sweep: Sweep, ref: Reference, src: Sources, window: Window, state: State, scratch: Scratch) -> int:
    """One sweep on the processor; returns the number of windows compared."""
    if sweep.kind == START:
        return int(start(ref, src, window, state, scratch, sweep.most, sweep.seed))
    if sweep.kind == SEARCH:
        settings = (sweep.most, sweep.alignments, sweep.lattice, sweep.iteration, sweep.seed, sweep.geometric)
        return int(search(ref, src, window, state, scratch, *settings))
    assert sweep.kind == IMPROVE
    effort = Effort(sweep.alignments, sweep.geometric, sweep.most)
    return int(improve(ref, src, window, state, scratch, effort, sweep.lattice))


def _make_scratch(sources: int) -> Scratch:
    f, rows = np.float32, REGIONS + 1
    costs, scores, chosen = np.zeros((rows, sources), f), np.zeros(sources, f), np.zeros(sources, np.int32)
    rho, gx, gy, price = np.zeros((4, rows), f)
    return Scratch(costs, scores, chosen, rho, gx, gy, np.zeros(rows, np.int32), price)


def initial_state(reference: StereoView, grey: Float32[np.ndarray, "h w"], scale: int, before: Planes | None) -> State:
    """The planes of the pass before, brought to this scale (`grey` is the reference's); zeros where there are none.

    Masked pixels cost WORST, so that they are nobody's candidates.
    """
    outside = grey <= 0
    if before is None:
        rho, gx, gy = np.zeros((3, *grey.shape), np.float32)
        cost = np.where(outside, np.float32(WORST), np.float32(2))
        return State(rho, gx, gy, cost, np.zeros(grey.shape, np.uint32))
    b = before
    state = State(b.rho.copy(), b.gx.copy(), b.gy.copy(), b.cost.copy(), b.views.copy())
    for k in range(before.scale - 1, scale - 1, -1):
        finer, coarser = at_scale(reference.grey, k), at_scale(reference.grey, k + 1)
        rho, gx, gy, cost, views = refine_planes(finer, coarser, state.rho, state.gx, state.gy, state.cost, state.views)
        state = State(rho, gx, gy, cost, views)
    state.cost[outside] = WORST
    return state
