"""PatchMatch stereo: from views to a plane for every pixel."""
