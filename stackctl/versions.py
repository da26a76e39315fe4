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


# What the name of a release ends with that single sign-on is locked together with.
WITH_OIDC = "+oidc"
# Its schema and its options are the oldest that were tried.
OLDEST_MLFLOW = "2.22.0"


def version_tuple(version: str) -> tuple[int, ...]:
    """`v2.27.1-desktop.1` as (2, 27, 1); () where there is no number."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def older(one: str, other: str) -> bool:
    """`one` is a version before `other`; False where either is no version."""
    first, second = version_tuple(one), version_tuple(other)
    return bool(first and second) and first < second


def requirements(release: str) -> tuple[str, ...]:
    """What a server of this release is installed from, as lines that pip understands.

    That of the release that ships, with single sign-on, is locked; the lock of that without is for
    images alone. MLflow 2.22.2 allows SQLAlchemy 2.1, with which it cannot be imported.
    """
    folder = resources.folder("templates").joinpath("images/mlflow")
    mlflow = release.removesuffix(WITH_OIDC)
    if mlflow != release:
        return tuple(folder.joinpath("oidc.lock").read_text("utf-8").splitlines())
    text = folder.joinpath("requirements.in")
    lines = [line.strip() for line in text.read_text("utf-8").splitlines()]
    wanted = [
        f"mlflow[auth]=={mlflow}" if line.startswith("mlflow[") else line
        for line in lines
        if line and not line.startswith("#")
    ]
    return tuple([*wanted, "sqlalchemy<2.1"] if older(mlflow, MLFLOW) else wanted)
