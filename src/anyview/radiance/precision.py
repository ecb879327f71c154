"""Which arithmetic a field's network gets where nobody says: bfloat16 where it was measured to cost next to nothing.

For mip-NeRF on processors `benchmarks/mip_precision.py` compares trainings in both precisions, and `mip_step.py` beside
it pictures of the same weights. Encodings, compositing and sampling are float32 in either.
"""

from __future__ import annotations

from dataclasses import replace

from anyview.errors import OptionError
from anyview.radiance.options import RadianceOptions
from anyview.training.precision import BFLOAT16, settled


def with_precision(options: RadianceOptions) -> RadianceOptions:
    """The options with `loop.precision` settled for this machine, where they leave it open.

    Raises:
        OptionError: a precision that the field does not learn in.
    """
    known = ("auto", "32-true", BFLOAT16) if options.field == "mip" else ("auto", "32-true")
    if options.loop.precision not in known:
        raise OptionError(
            f"the field `{options.field}` does not learn in this precision", where="loop.precision",
            expected=", ".join(known), actual=options.loop.precision,
        )  # fmt: skip
    return replace(options, loop=settled(options.loop, on_processors=options.field == "mip"))
