"""The package's data: `templates/`, `scenarios/`, `examples/` and `.secrets.example/`.

They stand at the top of the repository, where people look for them. A wheel carries them
inside the package; an editable install finds them beside it.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_IN_WHEEL = {".secrets.example": "secrets.example"}


def folder(name: str) -> Traversable:
    """The data folder `name`, for reading.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    package = files("stackctl")
    inside = package / _IN_WHEEL.get(name, name)
    if inside.is_dir():
        return inside
    beside = Path(str(package)).parent / name
    if beside.is_dir():
        return beside
    raise FileNotFoundError(f"stackctl's own folder {name}/ is missing; install stackctl again")
