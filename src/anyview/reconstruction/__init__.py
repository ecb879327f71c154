"""Posed images to sparse points, depth maps, a dense cloud and a mesh."""
