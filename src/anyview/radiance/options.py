"""Everything that a radiance field's training can be told. The strings below the fields are their explanation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from anyview.errors import OptionError
from anyview.training.options import LoopOptions

_LOOP = LoopOptions(steps=None)

USUAL_STEPS = {"grid": 10_000, "mip": 1_000_000}
"""Of a training that is told neither steps nor minutes: what each field is made for; mip-NeRF's are the paper's."""


def _in_range(group: str, options: object, **ranges: float | tuple[float, float]) -> None:
    """Raise an OptionError for the first number below its least, or outside its range; none may be infinite or NaN."""
    for name, told in ranges.items():
        value = getattr(options, name)
        low, high = told if isinstance(told, tuple) else (told, math.inf)
        if value is not None and not (low <= value <= high and value < math.inf):
            expected = f"{low} or more" if high == math.inf else f"{low} to {high}"
            raise OptionError("option out of range", where=f"{group}.{name}", expected=expected, actual=value)


def _above_zero(group: str, options: object, *names: str) -> None:
    for name in names:
        if not 0 < getattr(options, name) < math.inf:
            raise OptionError(
                "option out of range", where=f"{group}.{name}", expected="above 0", actual=getattr(options, name)
            )


@dataclass(frozen=True)
class DataOptions:
    """What is learnt from."""

    near: float | None = None
    """Depth at which the scene begins, scene units; null asks the scene."""
    far: float | None = None
    """Depth at which it ends, scene units; null asks the scene."""
    background: Literal["auto", "white", "black", "random"] = "auto"
    """What transparent and masked pixels show: a colour; with `random` another one for every ray of the training, so
    that what is transparent is learnt, and white in pictures and figures; `auto` is `random` for the field `grid` and
    `white`, as published, for `mip`."""
    downscale: int = 1
    """Images are reduced by this whole factor: means over squares of pixels."""
    memory_gib: float = 4.0
    """Training pixels that need more memory, GiB, lie in a file of the run's folder."""
    holdout: int = 8
    """Where a scene has no validation views, every n-th training view is held back for it, n at least 2; 0 holds
    none back."""
    bounds: tuple[float, float, float, float, float, float] | None = None
    """Box of interest in the world: xmin, ymin, zmin, xmax, ymax, zmax, scene units; null asks the scene."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _in_range("data", self, downscale=1, memory_gib=0, holdout=0, near=0, far=0)
        if self.holdout == 1:
            raise OptionError(
                "every view would be held back", where="data.holdout", expected="0, or 2 or more", actual=1,
            )  # fmt: skip
        if self.near is not None and self.far is not None and not self.near < self.far:
            raise OptionError(
                "near is not before far", where="data", expected="near < far", actual=f"{self.near} and {self.far}"
            )
        if self.bounds is not None and not all(self.bounds[i] < self.bounds[i + 3] for i in range(3)):
            raise OptionError(
                "the box is empty", where="data.bounds", expected="each minimum below its maximum", actual=self.bounds
            )


@dataclass(frozen=True)
class MipOptions:
    """mip-NeRF's model; the paper's values."""

    intervals: int = 128
    """Intervals per ray, at each of the two levels."""
    degrees: int = 16
    """Degrees of the positional encoding of places, from 0 up."""
    view_degrees: int = 4
    """Degrees of the encoding of directions."""
    depth: int = 8
    """Layers of the trunk."""
    width: int = 256
    """Features of each."""
    skip: int = 4
    """The encoding joins the output of every layer whose index is a multiple of this, but for the first and last."""
    head_width: int = 128
    """Features of the layer between trunk and colour."""
    density_bias: float = -1.0
    """Added before the softplus that gives density."""
    rgb_padding: float = 0.001
    """Colours reach this far beyond [0, 1], so that the sigmoid need not saturate."""
    resample_padding: float = 0.01
    """Weight that every coarse interval is given at least."""
    density_noise: float = 0.0
    """Deviation of noise on raw density while rays are drawn at random."""
    ray_shape: Literal["cone", "cylinder"] = "cone"
    """Rays of growing or of constant radius."""
    disable_integration: bool = False
    """Encode the Gaussians' means alone, as NeRF does."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _in_range(
            "mip.model", self, intervals=(2, 8192), degrees=(1, 32), view_degrees=(0, 32), depth=(1, 256), skip=1,
            width=(1, 8192), head_width=(1, 8192), density_bias=(-100, 100), density_noise=0, rgb_padding=(0, 1),
            resample_padding=(0, 1),
        )  # fmt: skip


@dataclass(frozen=True)
class MipTraining:
    """How the field `mip` is trained; the paper's values."""

    batch: int = 4096
    """Rays per step."""
    lr_first: float = 5e-4
    """Learning rate at the start, but for the delay."""
    lr_last: float = 5e-6
    """Learning rate at the end."""
    delay: int = 2500
    """Steps over which the learning rate rises; never more than a twentieth of the training."""
    delay_mult: float = 0.01
    """Share of it that the first step has."""
    coarse_weight: float = 0.1
    """Weight of the coarse level in the loss."""
    validation_pixels: int = 2048
    """Pixels of each validation view, the same ones always, that figures during training come from."""
    model: MipOptions = MipOptions()

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _in_range("mip", self, batch=1, delay=0, delay_mult=(0, 1), coarse_weight=0, validation_pixels=1)
        _above_zero("mip", self, "lr_first", "lr_last")


@dataclass(frozen=True)
class GridOptions:
    """The field `grid` and its training."""

    levels: int = 8
    """Levels of the hash grid; multiples of 8 are fastest."""
    coarsest: int = 16
    """Cells per side of its coarsest level."""
    finest: int = 512
    """Cells per side of its finest level."""
    log2_entries: int = 18
    """Logarithm, base 2, of the most entries that a level has."""
    width: int = 64
    """Features of the network's two hidden layers; multiples of 16 are fastest."""
    harmonics: Literal[1, 4, 9] = 9
    """Spherical harmonics by which a colour depends on the direction; 1: not at all."""
    cells: int = 128
    """Cells per side of the grid that tells where the scene can be opaque."""
    contraction: Literal["auto", "none", "cube"] = "auto"
    """How all of space comes into the grid: `cube` bends what lies around an inner cube, `none` leaves it out; `auto`
    bends where neither masks, a box of interest, a reconstruction nor a told `far` bound the scene."""
    steps: int = 512
    """Steps along the diagonal of the scene's cube; of the inner one where space is bent."""
    first_steps: int = 256
    """The same when training begins; they get closer over 6000 steps, or over all of a longer training."""
    distortion: float = 0.01
    """Weight of the distortion loss, which gathers the light of a ray in one place; where space is bent, from 0 on."""
    samples: int = 32768
    """Samples per step of training; the number of rays follows from it."""
    rate: float = 0.02
    """Learning rate of the table at the start; the network has half of it."""
    last_rate: float = 0.03
    """Share of the learning rate that is left at the end; it falls during the second half of the training."""
    least_alpha: float = 0.003
    """Cells through which a step is less opaque than this are passed over."""
    reopened: float = 0.0
    """Share of the cells passed over that is looked at again after each look at all of them."""
    multisamples: int = 1
    """Points by which a sample's cone is looked at: 1, or an even number from 6 (Zip-NeRF's) to 64: slower."""
    exposure: bool = False
    """Learn how bright each training image was taken; pictures are then rendered as the mean image was."""
    validation_pixels: int = 2048
    """Pixels of each validation view, the same ones always, that figures during training come from."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _in_range(
            "grid", self, levels=(1, 32), coarsest=(2, 65536), finest=(2, 65536), log2_entries=(4, 26), width=(1, 1024),
            cells=(8, 512), steps=(16, 65536), first_steps=(16, 65536), samples=(64, 1 << 26), distortion=0,
            last_rate=(0, 1), least_alpha=(0, 1), reopened=(0, 1), validation_pixels=1,
        )  # fmt: skip
        _above_zero("grid", self, "rate")
        if self.multisamples != 1 and (not 6 <= self.multisamples <= 64 or self.multisamples % 2):
            raise OptionError(
                "no such pattern of points", where="grid.multisamples", expected="1, or an even number from 6 to 64",
                actual=self.multisamples,
            )  # fmt: skip
        if self.finest < self.coarsest:
            raise OptionError(
                "the finest level is coarser than the coarsest", where="grid", expected="coarsest <= finest",
                actual=f"{self.coarsest} and {self.finest}",
            )  # fmt: skip


@dataclass(frozen=True)
class RadianceOptions:
    """All of it. A run's folder has them as `config.yaml`."""

    anyview: str = ""
    """Version of anyview that began the run."""
    scene: str = ""
    """Folder with the posed images."""
    geometry: str | None = None
    """Workspace of the same scene's reconstruction, whose depth tells the field `grid` where the surface can be."""
    field: Literal["grid", "mip"] = "grid"
    """`grid` trains in minutes on a processor; `mip` is mip-NeRF to the letter, and wants a GPU. Where `loop` tells
    neither steps nor minutes, `grid` takes 10,000 steps, and `mip` the paper's 1,000,000."""
    data: DataOptions = DataOptions()
    mip: MipTraining = MipTraining()
    grid: GridOptions = GridOptions()
    loop: LoopOptions = _LOOP
