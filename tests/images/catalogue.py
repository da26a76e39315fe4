"""The images the shipped templates name, read from where the templates read them."""

import tomllib
from pathlib import Path

CATALOGUE = Path(__file__).resolve().parents[2] / "templates" / "images.toml"


def official_images() -> dict[str, str]:
    """Our short name (`postgres`) -> the image Compose files name (`postgres:18.6`)."""
    with CATALOGUE.open("rb") as file:
        table = tomllib.load(file)["images"]
    return {str(name): str(image) for name, image in table.items()}
