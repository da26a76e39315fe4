"""A scenario as a diagram and as a picture."""
