"""The geometry of one camera."""
