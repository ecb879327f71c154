"""Networks that give density and colour in space."""
