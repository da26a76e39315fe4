"""The images that Compose files name: official ones, or stand-ins where no registry is reached."""

from tests.images.errors import ImageError
from tests.images.provenance import Provenance
from tests.images.provide import ensure

__all__ = ["ImageError", "Provenance", "ensure"]
