"""Runs before every test: shapes and types in signatures are checked, and pictures need no screen."""

from __future__ import annotations

import os

from shape_checks import install

os.environ.setdefault("MPLBACKEND", "Agg")
install()
