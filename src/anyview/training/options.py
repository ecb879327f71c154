"""Options of the training loop, the same for every engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from anyview.errors import OptionError

FIXED = ("seed", "precision", "better", "best_is", "devices")
"""Those that a run keeps for its whole life; the others may change when it is resumed."""


@dataclass(frozen=True)
class LoopOptions:
    """How long to train, how often to look, where to run."""

    steps: int | None = 10_000
    """Steps of the optimiser in all; null: as many as `max_minutes` allows."""
    max_minutes: float | None = None
    """Minutes of training in all, validation included, over all resumed runs; schedules end in this time."""
    seed: int = 0
    """Start of every random sequence, 0 to 2**63 - 1."""
    log_every: int = 100
    """Steps between rows of the log."""
    validate_every: int = 1000
    """Steps between validations; there is always one at the end."""
    save_every_seconds: float = 120.0
    """Time between checkpoints, seconds."""
    keep: int = 2
    """Newest checkpoints that are kept, beside the best."""
    better: str = "psnr"
    """The figure of the validation that chooses the best checkpoint."""
    best_is: Literal["largest", "smallest"] = "largest"
    """Which value of that figure is best."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train: an NVIDIA GPU (`cuda`), the processor, or the GPU where there is one."""
    devices: int = 1
    """How many of them; each works on a batch of its own. A run keeps what it began with."""
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed", "64-true"] = "auto"
    """Of the network's arithmetic, in Lightning's words. `auto` is `32-true`; a model for which lower precision was
    measured to be safe and faster on this kind of machine takes that. A run keeps what it began with."""

    def __post_init__(self) -> None:
        """Raise an OptionError where a value cannot work, before any work is done."""
        for name in ("steps", "log_every", "validate_every", "keep", "devices"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError("option out of range", where=name, expected="1 or more", actual=value)
        if not 0 <= self.seed < 1 << 63:
            raise OptionError("option out of range", where="seed", expected="0 to 2**63 - 1", actual=self.seed)
        if not self.save_every_seconds >= 0:
            raise OptionError(
                "option out of range", where="save_every_seconds", expected="0 or more", actual=self.save_every_seconds
            )
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise OptionError(
                "option out of range", where="max_minutes", expected="above 0", actual=self.max_minutes
            )  # fmt: skip
