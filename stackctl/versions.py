"""The versions that ship, read from `templates/images.toml`."""

import re
import tomllib

from stackctl import resources

_PINNED = tomllib.loads(resources.folder("templates").joinpath("images.toml").read_text("utf-8"))

MLFLOW: str = _PINNED["mlflow"]
PYTHON: str = _PINNED["python"]
DEFAULT_IMAGES: dict[str, str] = _PINNED["images"]
# Part of the path of the data, so that another major version refuses them.
POSTGRES_MAJOR: str = DEFAULT_IMAGES["postgres"].rpartition(":")[2].partition(".")[0]


def version_tuple(version: str) -> tuple[int, ...]:
    """`v2.27.1-desktop.1` as (2, 27, 1); () where there is no number."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(int(part) for part in found[1].split(".")) if found else ()
