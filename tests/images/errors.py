"""What can go wrong when an image is made."""


class ImageError(Exception):
    """An image cannot be had; the message is one line that names the image and the reason."""
