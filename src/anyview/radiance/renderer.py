"""What a trained field gives: what rays see, and how dense space is. Both fields have this one face.

Letters: B rays, N points.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from anyview.radiance.rays import Rays


class Seen(NamedTuple):
    """What rays see; on the CPU."""

    rgb: Float[Tensor, "B 3"]  # sRGB, background included
    depth: Float[Tensor, "B"]  # z in the camera's frame, scene units; 0 where the ray meets nothing
    opacity: Float[Tensor, "B"]  # 0 to 1


@runtime_checkable
class Renderer(Protocol):
    """A trained field; nothing here has gradients."""

    rays_at_once: int
    """How many rays fit about a gigabyte."""

    def render(self, rays: Rays) -> Seen:
        """What rays see, without randomness.

        Args:
            rays: in the world, on the CPU or on the field's device.
        """
        ...

    def density(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, "N"]:
        """Density per scene unit.

        Args:
            points: in the world, scene units.
        """
        ...
