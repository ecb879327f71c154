"""Every option of the reconstruction, with the presets that `--quality` stands for.

Each field's docstring is its help text on the command line.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64

from anyview.errors import OptionError

Quality: TypeAlias = Literal["low", "medium", "high"]
Region: TypeAlias = tuple[float, float, float, float, float, float]

_ANY, _TINY = float("inf"), 1e-9


def _within(stage: str, options: object, **limits: tuple[float, float]) -> None:
    for name, (low, high) in limits.items():
        value = getattr(options, name)
        if not low <= value <= high:
            start = "above 0" if low == _TINY else f"{low}"
            expected = f"{start} to {high}" if high < _ANY else start if low == _TINY else f"{start} or more"
            raise OptionError("option out of range", where=f"{stage}.{name}", expected=expected, actual=value)


@dataclass(frozen=True)
class SparseOptions:
    """Features, pairs, matches, triangulation."""

    max_features: int = 8192
    """Keypoints kept per image, strongest first."""
    peak_threshold: float = 0.004
    """Weakest contrast of a keypoint (difference of Gaussians); lower finds more, and weaker, ones."""
    silhouette: float = 1.0
    """Keypoints nearer to the mask's outline than this many of their own scales are dropped."""
    pairs: Literal["geometry", "exhaustive"] = "geometry"
    """Which pairs are matched: those whose known cameras see common space, or all."""
    partners: int = 16
    """Views that each view chooses to be matched with (`geometry`)."""
    epipolar_band: float = 1.0
    """Largest distance of a match from its epipolar line, pixels; large keypoints are granted more."""
    ratio: float = 0.85
    """Largest share of the second best descriptor distance that the best may have, along the epipolar line."""
    max_reprojection_error: float = 1.5
    """Largest distance of a keypoint from its point's projection, pixels."""
    min_angle: float = 1.5
    """Narrowest angle between a point's outermost rays, degrees."""
    refine_poses: bool = False
    """Bundle adjustment of the poses after triangulation, with a report of how far cameras moved; the later stages work
    with the poses that come out."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work, before any work is done."""
        _within("sparse", self, max_features=(1, _ANY), partners=(1, _ANY), epipolar_band=(_TINY, _ANY))
        _within("sparse", self, peak_threshold=(_TINY, _ANY), max_reprojection_error=(_TINY, _ANY), ratio=(_TINY, 1))


@dataclass(frozen=True)
class DenseOptions:
    """PatchMatch multi-view stereo."""

    window_radius: int = 5
    """Half the side of the matching window, pixels of each scale; 3 or more."""
    max_image_size: int = 1600
    """Images with a longer side are reduced for the dense stage, pixels."""
    depth_min: float = 0.0
    """Smallest depth searched, scene units; 0 finds it from the scene. Never exceeded when given."""
    depth_max: float = 0.0
    """Largest depth searched, scene units; 0 finds it from the scene. Never exceeded when given."""
    sources: int = 8
    """Source views compared with each view, 1 to 32."""
    views_per_pixel: int = 4
    """Source views that a pixel's cost is averaged over."""
    color_sigma: float = 15.0
    """Of the window's bilateral weight at full size, grey levels of 255; it grows by 1.4 per scale."""
    search_size: int = 120
    """Images are halved for the global search, at least once, as long as their longer side keeps so many pixels."""
    search_iterations: int = 3
    """Checkerboard iterations of the global search at the coarsest scale. Where that is a quarter of full size or less,
    there is one more at half size, of the pixels that views disagree on."""
    iterations: int = 1
    """Iterations of alignment and propagation at each finer scale."""
    alignments: int = 2
    """Most least-squares steps per plane and iteration at the finer scales; searches take one."""
    geometric_weight: float = 0.1
    """Cost per pixel of forward-backward error beyond the first, in the last pass; 0 leaves that pass out, and the
    second search."""
    smoothing: int = 7
    """At last each pixel's plane becomes the mean of those of its surface within so many pixels; 0 leaves this out."""
    fill: float = 60.0
    """Pixels that no other view confirms take the plane of a triangle between pixels that are confirmed; its longest
    edge, pixels. 0 leaves this out."""
    max_cost: float = 0.8
    """Pixels whose final cost (0 best, 2 worst) is higher give no depth."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the passes run: an NVIDIA GPU (`cuda`), the processor, or the GPU where there is one that works."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work, before any work is done."""
        _within("dense", self, window_radius=(3, 64), max_image_size=(16, _ANY), depth_min=(0, _ANY))
        _within("dense", self, depth_max=(0, _ANY), sources=(1, 32), views_per_pixel=(1, 32), color_sigma=(0.1, _ANY))
        _within("dense", self, search_size=(16, _ANY), search_iterations=(1, 100), iterations=(0, 100))
        _within("dense", self, alignments=(0, 100), geometric_weight=(0, _ANY), max_cost=(0, 2))
        _within("dense", self, smoothing=(0, 64), fill=(0, 1000))
        if self.depth_max and self.depth_min >= self.depth_max:
            raise OptionError("dense.depth_min must be below dense.depth_max", actual=(self.depth_min, self.depth_max))


@dataclass(frozen=True)
class FusionOptions:
    """Depth maps to one cloud."""

    min_views: int = 2
    """Views, the point's own included, that must agree on a point."""
    max_reprojection_error: float = 2.0
    """Largest forward-backward distance of agreeing pixels, pixels."""
    max_depth_error: float = 0.03
    """Largest relative difference of depth; a map that lies further behind the point contradicts it."""
    max_normal_error: float = 40.0
    """Largest angle between normals, degrees."""
    min_consensus: float = 0.4
    """How well the agreeing views must agree in position and normal, 0 (whatever they say) to 1 (identical)."""
    max_memory_gib: float = 1.0
    """Ceiling for the maps held in memory at a time, whatever the number of views."""
    region: Region | None = None
    """Box of interest in the world, scene units: xmin ymin zmin xmax ymax zmax. Depth is searched no further, no point
    and no surface lies outside."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work, before any work is done."""
        _within("fusion", self, min_views=(2, _ANY), max_depth_error=(_TINY, _ANY), max_normal_error=(_TINY, 180))
        _within(
            "fusion", self, max_reprojection_error=(_TINY, _ANY), min_consensus=(0, 1), max_memory_gib=(_TINY, _ANY)
        )
        if self.region is None:
            return
        low, high = self.region[:3], self.region[3:]
        if not all(map(isfinite, self.region)) or any(a >= b for a, b in zip(low, high, strict=True)):
            raise OptionError(
                "not a box", where="fusion.region", expected="xmin ymin zmin xmax ymax zmax, each min below its max",
                actual=" ".join(f"{x:g}" for x in self.region),
            )  # fmt: skip


def within_region(bounds: Float64[np.ndarray, "2 3"] | None, region: Region | None) -> Float64[np.ndarray, "2 3"]:
    """Lower and upper corner of what both allow, world; infinite where neither says anything.

    Raises:
        OptionError: they share nothing.
    """
    box = np.array([[-np.inf] * 3, [np.inf] * 3]) if bounds is None else np.array(bounds, np.float64)
    if region is not None:
        wanted = np.array(region, np.float64).reshape(2, 3)
        low, high = np.maximum(box[0], wanted[0]), np.minimum(box[1], wanted[1])
        if (low >= high).any():
            raise OptionError(
                "the region lies outside the scene's bounds", where="fusion.region", expected=box.tolist(),
                actual=wanted.tolist(),
            )  # fmt: skip
        box = np.stack([low, high])
    return box


@dataclass(frozen=True)
class MeshOptions:
    """A screened Poisson fit in cells near the points, and trimming."""

    depth: int = 0
    """Along the cloud's longest side lie about 2^depth cells; 0 chooses cells of almost three point spacings."""
    trim: float = 4.0
    """Surface further than this many point spacings from the cloud is cut away."""
    gaps: float = 16.0
    """Holes that trimming would leave are closed where they are at most about so many point spacings across."""
    simplify: float = 0.0
    """Share of faces to keep, 0 to 1; 0 keeps all."""
    min_confidence: float = 0.05
    """Points of the cloud with less confidence (0 to 1) do not shape the surface; 0 takes all."""
    texture: bool = False
    """Give `mesh.glb` a texture from the photographs, instead of a colour per vertex."""
    texture_faces: int = 200_000
    """Faces of the textured mesh at most: it is simplified, because the texture has the detail."""
    texture_size: int = 4096
    """Longest side of the texture, texels; it is smaller where the photographs hold no more."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work, before any work is done."""
        _within("mesh", self, depth=(0, 14), trim=(0, _ANY), gaps=(0, _ANY), simplify=(0, 1), min_confidence=(0, 1))
        _within("mesh", self, texture_faces=(100, _ANY), texture_size=(64, 16384))


@dataclass(frozen=True)
class ReconstructionOptions:
    """All stages."""

    sparse: SparseOptions = field(default_factory=SparseOptions)
    dense: DenseOptions = field(default_factory=DenseOptions)
    fusion: FusionOptions = field(default_factory=FusionOptions)
    mesh: MeshOptions = field(default_factory=MeshOptions)
    seed: int = 0
    """Start of every random sequence: the same seed on the same machine gives the same bytes."""


def preset(quality: Quality) -> ReconstructionOptions:
    """The options that a quality stands for."""
    options = ReconstructionOptions()
    if quality == "low":
        return replace(options, dense=replace(options.dense, max_image_size=800, views_per_pixel=3))
    if quality == "high":
        return replace(options, dense=replace(options.dense, max_image_size=3200, iterations=2, alignments=3))
    return options
