"""Runs before every test: shapes and types in signatures are checked, pictures need no screen.

Kernels are those that `anyview doctor` has compiled: their stamps tell when they are not of this source.
"""

from __future__ import annotations

import os

from hypothesis import settings

from shape_checks import install

settings.register_profile("anyview", deadline=None)  # a busy machine is no fault of ours
settings.load_profile("anyview")
os.environ.setdefault("MPLBACKEND", "Agg")
install()
