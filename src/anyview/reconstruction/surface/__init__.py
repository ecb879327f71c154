"""From oriented points to a mesh."""
