"""Options of a training: the network, its data, the optimiser, the GAN, the loop. A run keeps them as YAML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from anyview.errors import OptionError
from anyview.formats.div2k import Track
from anyview.superresolution.degradation import DegradationOptions
from anyview.superresolution.options import Arch, NetworkOptions
from anyview.training.options import LoopOptions

USUAL_STEPS: Final = 100_000
"""Of a training that is told neither steps nor minutes."""

_NETWORK, _DEGRADATION = NetworkOptions(), DegradationOptions()
_LOOP = LoopOptions(steps=None, better="psnr_y")
_RATE_WEIGHT_NORM, _RATE, _RATE_GAN = 1e-3, 2e-4, 1e-4


def _at_least(where: str, options: Any, **least: float) -> None:
    """Raise an OptionError where a value is given and lower."""
    for name, low in least.items():
        value = getattr(options, name)
        if value is not None and not value >= low:
            raise OptionError(
                "option out of range", where=f"{where}.{name}", expected=f"{low:g} or more", actual=value
            )  # fmt: skip


@dataclass(frozen=True)
class DataOptions:
    """What is learnt from and judged by."""

    low: str | None = None
    """Folder of small pictures; null makes them, or takes those of the data's own layout."""
    val: str | None = None
    """Folder of pictures to validate on, and nothing of the data is held back; null takes the data's own."""
    track: Track = "bicubic"
    """Of DIV2K."""
    crop: int = 96
    """Pixels of a side of a large crop."""
    turn: bool = True
    """Whether crops are turned and mirrored."""
    blind: bool = False
    """Whether small crops are made anew each time as cameras and the web make them, see `degradation`."""
    validation_side: int = 256
    """Most pixels of a side of a small picture in a validation; of larger ones the middle is taken, to save time."""
    threads: int | None = None
    """That make batches ahead; null for 4 on a GPU and none on a processor. The result does not depend on it."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _at_least("data", self, crop=2, validation_side=16, threads=0)


@dataclass(frozen=True)
class OptimiserOptions:
    """Steps of Adam (arXiv 1412.6980)."""

    loss: Literal["l1", "mse"] = "l1"
    """Mean absolute or mean squared difference of colours."""
    batch: int = 16
    """Crops in a step."""
    rate: float | None = None
    """Learning rate; null is 0.001 for networks with weight norm, 0.0002 for others, 0.0001 in a GAN."""
    beta2: float = 0.999
    """Share of the mean square gradient that is kept."""
    schedule: Literal["cosine", "steps"] = "cosine"
    """How the rate falls: half a wave over the whole training, or by `drop` at each of `drops`."""
    last_rate: float = 0.01
    """Share of the rate that is left at the end (`cosine`)."""
    drop: float = 0.5
    """What the rate is multiplied by (`steps`)."""
    drops: tuple[float, ...] = (0.5, 0.75, 0.9)
    """Shares of the training after which it falls (`steps`)."""
    clip: float = 0.0
    """Longest gradient, all weights together; 0 for any."""
    ema: float = 0.999
    """Decay of the average of the weights, which is judged and exported; 0 for none."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _at_least("optimiser", self, batch=1, clip=0, drop=0)
        for name, shares in (("last_rate", (self.last_rate,)), ("drops", self.drops)):
            if not all(0 <= share <= 1 for share in shares):
                actual = getattr(self, name)
                raise OptionError("option out of range", where=f"optimiser.{name}", expected="0 to 1", actual=actual)
        if self.rate is not None and not self.rate > 0:
            raise OptionError("option out of range", where="optimiser.rate", expected="above 0", actual=self.rate)
        for name in ("ema", "beta2"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise OptionError(
                    "option out of range", where=f"optimiser.{name}", expected="0 or more, below 1", actual=value
                )


@dataclass(frozen=True)
class GanOptions:
    """SRGAN (arXiv 1609.04802); counts with `gan` only."""

    content: Literal["vgg54", "vgg22", "l1", "mse"] = "vgg54"
    """What the generator learns from beside the discriminator: features of VGG19 (downloaded once), or colours."""
    adversarial: float = 1e-3
    """Share of the discriminator's judgement in the generator's loss."""
    discriminator_features: int = 64
    """Channels of the discriminator's first layer."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _at_least("adversary", self, adversarial=0, discriminator_features=1)


@dataclass(frozen=True)
class SuperresOptions:
    """All of it. A run's folder has them as `config.yaml`."""

    anyview: str = ""
    """Version of anyview that began the run."""
    folder: str = ""
    """The pictures."""
    init: str | None = None
    """What training begins with: the folder of another run, a file of weights, the name of shipped ones; null for
    random weights."""
    gan: bool = False
    """Whether a discriminator takes part."""
    model: NetworkOptions = _NETWORK
    data: DataOptions = DataOptions()
    degradation: DegradationOptions = _DEGRADATION
    optimiser: OptimiserOptions = OptimiserOptions()
    adversary: GanOptions = GanOptions()
    loop: LoopOptions = _LOOP

    @property
    def rate(self) -> float:
        """The learning rate that training begins with."""
        if self.optimiser.rate is not None:
            return self.optimiser.rate
        if self.gan:
            return _RATE_GAN
        return _RATE_WEIGHT_NORM if self.model.arch.startswith("wdsr") else _RATE


def usual_network(arch: Arch, scale: int) -> NetworkOptions:
    """The baseline of an architecture, as `anyview.superresolution.build` has it.

    Raises:
        OptionError: no such architecture or scale.
    """
    if arch == "wdsr-a":
        return NetworkOptions(arch, scale, 16, 32, 4)
    if arch == "wdsr-b":
        return NetworkOptions(arch, scale, 32, 32, 6)
    return NetworkOptions(arch, scale)
