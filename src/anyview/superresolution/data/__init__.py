"""Pairs of large and small pictures: found, decoded once, cut into batches."""
