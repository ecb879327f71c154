"""Numbers as people read them."""

from __future__ import annotations

import math


def count(value: float) -> str:
    """1234567 -> "1,234,567"."""
    return f"{round(value):,}"


def short_count(value: float) -> str:
    """1234567 -> "1.23 M"; below ten thousand every digit."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            scaled = value / (1e3 if unit == "k" else size)
            return f"{scaled:.3g} {unit}" if scaled < 999.5 else f"{scaled:.0f} {unit}"
    return count(value)


def duration(seconds: float) -> str:
    """75.2 -> "1 min 15 s"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count_of_bytes: float) -> str:
    """Bytes in MiB or GiB."""
    if count_of_bytes < 1 << 30:
        return f"{count_of_bytes / (1 << 20):.0f} MiB"
    return f"{count_of_bytes / (1 << 30):.2f} GiB"


def length(value: float) -> str:
    """A length in scene units, three significant digits."""
    return f"{value:.3g}" if math.isfinite(value) else "-"


def value(thing: object) -> str:
    """An option's value as it would be typed."""
    if isinstance(thing, bool):
        return "yes" if thing else "no"
    if isinstance(thing, float):
        return f"{thing:g}"
    if thing is None:
        return "none"
    if isinstance(thing, list | tuple):
        return ", ".join(value(t) for t in thing)
    return str(thing)


def title(name: str) -> str:
    """mean_reprojection_error -> "Mean reprojection error"."""
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]
