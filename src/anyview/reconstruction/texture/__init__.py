"""From a mesh and its photographs to a texture."""
