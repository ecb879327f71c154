"""Labelled images: read, varied, and put into batches."""
