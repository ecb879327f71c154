"""What a run leaves for the eye: renderings, pictures of maps, the camera layout, and one self-contained page."""
