"""Whether the libraries of the `learn` extra are there; looking does not load them."""

from __future__ import annotations

from importlib.util import find_spec

from anyview.errors import OptionError

_LIBRARIES = ("torch", "lightning", "safetensors", "torchmetrics", "yaml")


def require_learn() -> None:
    """Raise an OptionError that says what to install where something is missing."""
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise OptionError(
            "the libraries of the learned engines are not installed", expected=", ".join(_LIBRARIES),
            actual=f"no {', '.join(missing)}", hint="run pip install 'anyview[learn]'",
        )  # fmt: skip
