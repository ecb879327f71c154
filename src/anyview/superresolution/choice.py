"""Which networks a user means: weights by name, file or run, or those for a scale that come with the package."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from anyview.errors import OptionError
from anyview.progress import SILENT, Progress
from anyview.superresolution.network.layers import Upscaler
from anyview.superresolution.run import open_run
from anyview.superresolution.weights import blend, load_weights, names

_USUAL = "wdsr-b"  # the quickest
_STEPS = (4, 2)  # x8 of two


@dataclass(frozen=True, eq=False)
class Chosen:
    """Networks that enlarge, one after the other.

    Attributes:
        networks: in order.
        name: as a user knows them.
    """

    networks: tuple[Upscaler, ...]
    name: str

    @property
    def scale(self) -> int:
        """Of all together."""
        total = 1
        for network in self.networks:
            total *= network.options.scale
        return total

    def digest(self) -> str:
        """Of architectures and weights."""
        digest = hashlib.blake2b(digest_size=16)
        for network in self.networks:
            digest.update(str(network.options).encode())
            for name, tensor in network.state_dict().items():
                digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


def choose(
    weights: str | None,
    scale: int | None = None,
    second: str | None = None,
    share: float | None = None,
    progress: Progress = SILENT,
) -> Chosen:
    """The networks to enlarge with.

    Args:
        weights: a name, a file or a run's folder; None is what comes with the package for the scale.
        scale: that the result must have; None takes that of the weights, or 4 without weights.
        second: other weights of the same architecture, to be blended in.
        share: of the second, 0 to 1; 0.5 where none is said.
        progress: told where two networks make up a scale.

    Raises:
        OptionError: no such weights, of another scale, or none for this scale; weights that cannot be blended.
        FormatError, WorkspaceError: a file or run is damaged or empty.
    """
    if share is not None and second is None:
        raise OptionError("nothing to blend with", where="--blend", expected="--second NAME|PATH as well")
    if weights is None:
        chosen = _shipped(scale or 4, progress)
    else:
        chosen = Chosen((open_network(weights, scale, progress),), weights)
    if second is None:
        return chosen
    if len(chosen.networks) > 1:
        raise OptionError("two networks cannot be blended with one", where="--second", hint="name them with --weights")
    share = 0.5 if share is None else share
    other = open_network(second, chosen.scale, progress)
    return Chosen((blend(chosen.networks[0], other, share),), f"{chosen.name}, {share:g} of {second}")


def open_network(weights: str, scale: int | None = None, progress: Progress = SILENT) -> Upscaler:
    """A network by name, file or run.

    Raises:
        OptionError, FormatError, WorkspaceError: see `choose`.
    """
    if weights in names() or not Path(weights).is_dir():
        return load_weights(weights, scale)
    network = open_run(weights, progress=progress).network
    if scale is not None and network.options.scale != scale:
        raise OptionError(
            "the weights are for another scale", where=weights, expected=f"scale {scale}",
            actual=f"scale {network.options.scale} ({network.options})",
        )  # fmt: skip
    return network


def _shipped(scale: int, progress: Progress) -> Chosen:
    """What comes with the package."""
    name = _name_for(scale)
    if name is not None:
        return Chosen((load_weights(name, scale),), name)
    steps = [_name_for(step) for step in _STEPS]
    found = [step for step in steps if step is not None]
    if scale == 8 and len(found) == len(_STEPS):
        progress.note(f"no weights for x8 come with anyview: {found[1]} enlarges what {found[0]} has made")
        networks = tuple(load_weights(step) for step in found)
        return Chosen(networks, " and ".join(found))
    raise OptionError(
        f"no weights for x{scale} come with anyview", where="--scale",
        expected=", ".join(names()) or "--weights NAME|PATH", hint="name a file or a run of your own with --weights",
    )  # fmt: skip


def _name_for(scale: int) -> str | None:
    """The usual weights for a scale."""
    fitting = [name for name in names() if name.endswith(f"-x{scale}")]
    usual = f"{_USUAL}-x{scale}"
    return usual if usual in fitting else fitting[0] if fitting else None
