"""The parts of a Mask R-CNN, and what they are computed with."""
