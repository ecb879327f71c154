"""Options of a field's training, see `anyview.training.settings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from anyview.radiance.options import RadianceOptions
from anyview.training import settings as shared


def settled(
    run: Path, config: Path | None, settings: Sequence[str], given: Mapping[str, object] | None = None
) -> RadianceOptions:
    """Options of a training: the file's (else the run's own, else the defaults), then `settings`, then `given`.

    Arguments and errors are those of `anyview.training.settings.settled`.
    """
    return shared.settled(RadianceOptions(), run, config, settings, given)
