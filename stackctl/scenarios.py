"""The scenario files: those of stackctl, and those of the user, which take their place.

Adding a scenario means adding one file `scenarios/NAME.toml`.
"""

import re
import tomllib
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import ValidationError

from stackctl import resources
from stackctl.errors import BadScenario, BadSetting, UnknownName
from stackctl.scenario import Scenario
from stackctl.settings import resolve


def load_all(own: Path | None = None) -> dict[str, Scenario]:
    """Every scenario by name: those of stackctl, then those in the folder `own`, which override.

    Raises:
        BadScenario: A file cannot be read as a scenario.
    """
    found = {name: parse(name, item) for name, item in _files(own).items()}
    return dict(sorted(found.items()))


def load(name: str, own: Path | None = None) -> Scenario:
    """The scenario `name`.

    Raises:
        UnknownName: There is none; the error names the nearest.
        BadScenario: Its file cannot be read as a scenario.
    """
    found = _files(own)
    if name not in found:
        raise UnknownName("scenario", name, list(found))
    return parse(name, found[name])


def names(own: Path | None = None) -> list[str]:
    """The names of all scenarios, without reading their files."""
    return sorted(_files(own))


def parse(name: str, item: Traversable) -> Scenario:
    """One scenario file.

    Raises:
        BadScenario: Naming file, line and key.
    """
    path = str(item)
    try:
        text = item.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadScenario(path, 0, "file", str(error)) from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        number = int(line[1]) if line else text.count("\n") + 1
        raise BadScenario(path, number, "syntax", str(error)) from error
    try:
        found = Scenario(**{**values, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        key = str(first["loc"][0]) if first["loc"] else reason.split("=")[0].split(" ")[0]
        raise BadScenario(path, _line_of(key, text), key, reason) from error
    _check_settings(found, path, text)
    return found


def _check_settings(found: Scenario, path: str, text: str) -> None:
    try:
        resolve(found, environment={})
    except (UnknownName, BadSetting) as error:
        key = error.name if isinstance(error, UnknownName) else error.key
        raise BadScenario(path, _line_of(key, text), f"settings.{key}", str(error)) from error


def _files(own: Path | None) -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    for place in (resources.folder("scenarios"), own):
        if place is not None and place.is_dir():
            for item in place.iterdir():
                if item.name.endswith(".toml"):
                    found[item.name.removesuffix(".toml")] = item
    return found


def _line_of(key: str, text: str) -> int:
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"\s*\[?\s*{re.escape(key)}\b", line):
            return number
    return 1
