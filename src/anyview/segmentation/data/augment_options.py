"""How training images are varied."""

from __future__ import annotations

from dataclasses import dataclass

from anyview.errors import OptionError


@dataclass(frozen=True)
class AugmentOptions:
    """Variations of training images, in the order in which they are made."""

    flip: float = 0.5
    """Share of images that are mirrored left to right."""
    scale_low: float = 1.0
    """Smallest factor of the sides (scale jitter); with `crop_size` the paper takes 0.1, or 0.8 for little jitter."""
    scale_high: float = 1.0
    """Largest factor of the sides; with `crop_size` the paper takes 2.0, or 1.25."""
    crop_size: int = 0
    """Side of the square that images are cut and padded to (large-scale jitter), pixels; 0 leaves their shape."""
    copy_paste: float = 0.0
    """Share of images that get things of another image pasted in; wants `crop_size`."""
    brightness: float = 0.0
    """Largest change of brightness, as a share."""
    contrast: float = 0.0
    """Largest change of contrast, as a share."""
    saturation: float = 0.0
    """Largest change of saturation, as a share."""
    hue: float = 0.0
    """Largest change of hue, as a share of its circle, at most 0.5."""

    def check(self) -> None:
        """Raise an OptionError where a value cannot work."""
        for name in ("flip", "copy_paste", "brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"`{name}` is out of range", expected="0 to 1", actual=getattr(self, name))
        if not 0 <= self.hue <= 0.5:
            raise OptionError("`hue` is out of range", expected="0 to 0.5", actual=self.hue)
        if not 0.01 <= self.scale_low <= self.scale_high <= 100:
            raise OptionError(
                "impossible scale jitter", expected="0.01 <= scale_low <= scale_high <= 100",
                actual=f"{self.scale_low} and {self.scale_high}",
            )  # fmt: skip
        if self.crop_size < 0:
            raise OptionError("`crop_size` is out of range", expected="pixels, or 0 for none", actual=self.crop_size)
        if self.copy_paste > 0 and not self.crop_size:
            raise OptionError(
                "copy-paste without `crop_size`", expected="both images in squares of one size",
                hint="set crop_size: 640, scale_low: 0.5 and scale_high: 1.5, for instance",
            )  # fmt: skip
