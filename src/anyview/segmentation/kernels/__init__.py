"""Compiled kernels of segmentation; imported where they are used, for numba takes a while to load."""
