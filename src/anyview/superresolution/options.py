"""What a network of super-resolution is made of. Files of weights carry these options, and so describe themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from anyview.errors import OptionError

Arch: TypeAlias = Literal["edsr", "wdsr-a", "wdsr-b", "srresnet"]
SCALES: Final = (2, 3, 4, 8)
_MOST = 4096  # blocks, features, expansion: beyond are typing errors, and files that lie


@dataclass(frozen=True)
class NetworkOptions:
    """A network's architecture.

    Attributes:
        arch: its kind.
        scale: output pixels for each input pixel, along a side: 2, 3, 4 or 8.
        num_blocks: residual blocks.
        num_features: channels between the blocks.
        expansion: WDSR: channels within a block before the activation, times `num_features`; others ignore it.
        residual_scaling: what a block's output is multiplied by before it is added; 0.1 for EDSR with 256 features.
            srresnet ignores it.

    Raises:
        OptionError: a value that cannot work.
    """

    arch: Arch = "edsr"
    scale: int = 4
    num_blocks: int = 16
    num_features: int = 64
    expansion: int = 4
    residual_scaling: float = 1.0

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work."""
        _one_of("arch", self.arch, get_args(Arch))
        _one_of("scale", self.scale, SCALES)
        least_features = 2 if self.arch == "wdsr-b" else 1  # its narrow layer has 0.8 of them, rounded down
        for name, low in (("num_blocks", 1), ("num_features", least_features), ("expansion", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= _MOST:
                raise OptionError("option out of range", where=name, expected=f"{low} to {_MOST}", actual=value)
        if not math.isfinite(self.residual_scaling):
            raise OptionError(
                "option out of range", where="residual_scaling", expected="a number", actual=self.residual_scaling
            )

    def __str__(self) -> str:
        """As an error names it: `wdsr-b x4, 32 blocks, 32 features, expansion 6`."""
        words = [f"{self.arch} x{self.scale}", f"{self.num_blocks} blocks", f"{self.num_features} features"]
        words += [f"expansion {self.expansion}"] if self.arch.startswith("wdsr") else []
        words += [f"residual scaling {self.residual_scaling:g}"] if self.residual_scaling != 1 else []
        return ", ".join(words)


def _one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Raise an OptionError where a value is none of these."""
    if value not in allowed:
        raise OptionError(
            "no such option", where=name, expected="one of " + ", ".join(str(word) for word in allowed), actual=value
        )
