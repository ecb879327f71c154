"""Which arithmetic a field's network gets where nobody says: bfloat16 where it was measured to cost next to nothing.

For mip-NeRF on processors `benchmarks/mip_precision.py` compares trainings in both precisions, and `mip_step.py` beside
it pictures of the same weights. Encodings, compositing and sampling are float32 in either.
"""

from __future__ import annotations

from dataclasses import replace

from anyview.radiance.options import RadianceOptions
from anyview.training.precision import settled


def with_precision(options: RadianceOptions) -> RadianceOptions:
    """The options with `loop.precision` settled for this machine, where they leave it open."""
    return replace(options, loop=settled(options.loop, on_processors=options.field == "mip"))
