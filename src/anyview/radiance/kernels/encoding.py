"""The integrated encoding of a panel of Gaussians; `anyview.radiance.encoding` is its readable twin.

Letters: L degrees, P samples of a panel. Phases are reduced in float64, as turns, so that even the highest degree is
exact to float32 rounding; all loops run over the panel's samples, which the compiler turns into vectors.
"""

from __future__ import annotations

from math import log, pi

import numpy as np

from anyview.jit import njit

PANEL = 64
"""P: samples that are worked on side by side."""

FAST = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "arcp", "nsz", "reassoc"}}

f4 = np.float32


def _odd_sine(terms: int = 7) -> tuple[np.float32, ...]:
    """Coefficients of sin(2 pi x) = x (c0 + c1 x^2 + ...) for |x| <= 1/4: through its values at Chebyshev's points."""
    x = np.cos((np.arange(terms) + 0.5) * pi / (2 * terms)) / 4
    powers = x[:, None] ** (2 * np.arange(terms) + 1)
    return tuple(f4(c) for c in np.linalg.solve(powers, np.sin(2 * pi * x)))


def _power_of_two(terms: int = 7) -> tuple[np.float32, ...]:
    """Coefficients of 2^x for |x| <= 1/2."""
    x = np.cos((np.arange(terms) + 0.5) * pi / terms) / 2
    return tuple(f4(c) for c in np.linalg.solve(x[:, None] ** np.arange(terms), 2**x))


S0, S1, S2, S3, S4, S5, S6 = _odd_sine()
E0, E1, E2, E3, E4, E5, E6 = _power_of_two()
FAINTEST = f4(-60)
"""Features that have faded below this power of two are zero: smaller numbers than float32's normal ones are slow."""

_TURNS, _BITS = 1 / (2 * pi), f4(-0.5 / log(2))  # radians to turns; -variance / 2 to powers of two


@njit(**FAST)
def encode(mean, variance, first, count, degrees, out, start):
    """Features of `count` <= P Gaussians from the `first` on, one row of P for each; unused places are zero.

    Args:
        mean, variance: (N, 3), float32, radians at degree 0.
        degrees: L, from 0 up.
        out, start: flat; row f, sample s is out[start + f P + s], rows as in `integrated_encoding`.
    """
    turns, fades = np.zeros(PANEL, np.float64), np.zeros(PANEL, np.float32)
    fade, bits = np.empty(PANEL, np.float32), np.empty(PANEL, np.int32)
    scale = bits.view(np.float32)
    for c in range(3):
        for s in range(count):
            turns[s] = mean[first + s, c] * _TURNS
            fades[s] = max(variance[first + s, c] * _BITS, f4(-1e30))
        for degree in range(degrees):
            wide, square = 2.0**degree, f4(4.0**degree)
            for s in range(PANEL):
                y = max(fades[s] * square, FAINTEST)
                n = np.floor(y + f4(0.5))
                bits[s] = (np.int32(n) + np.int32(127)) << 23
                y -= n
                faded = E0 + y * (E1 + y * (E2 + y * (E3 + y * (E4 + y * (E5 + y * E6)))))
                fade[s] = faded if n > FAINTEST else f4(0)
            row = start + (3 * degree + c) * PANEL
            sines, cosines = out[row : row + PANEL], out[row + 3 * degrees * PANEL :]
            for s in range(PANEL):
                t = turns[s] * wide
                t = f4(t - np.floor(t + 0.5))
                a = abs(t)
                x, y = np.copysign(min(a, f4(0.5) - a), t), f4(0.25) - a
                xx, yy = x * x, y * y
                f = fade[s] * scale[s]
                sines[s] = f * x * (S0 + xx * (S1 + xx * (S2 + xx * (S3 + xx * (S4 + xx * (S5 + xx * S6))))))
                cosines[s] = f * y * (S0 + yy * (S1 + yy * (S2 + yy * (S3 + yy * (S4 + yy * (S5 + yy * S6))))))
    for f in range(6 * degrees):
        for s in range(count, PANEL):
            out[start + f * PANEL + s] = 0
