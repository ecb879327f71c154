"""Features, pairs, matches and triangulated points."""
