"""Compiled inner loops of the radiance engine; each has a readable twin elsewhere."""
