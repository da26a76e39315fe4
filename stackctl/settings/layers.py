"""Where each setting's value comes from.

Flags > environment > stackctl.toml > .env > scenario file > default.
"""

import contextlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stackctl.errors import BadSetting, UnknownName, UserError
from stackctl.scenario import Scenario
from stackctl.settings.model import OWN_TLS, Settings, keys, split
from stackctl.settings.server import Refused
from stackctl.urls import USUAL_PORTS, Url
from stackctl.versions import DEFAULT_IMAGES

PREFIX = "STACKCTL_"
# The tables of MLflow's own variables and options.
_VARIABLES, _ARGUMENTS = "server.env.", "server.args."
# Variables of the program, not of a stack.
PROGRAM_VARIABLES = (
    "STACKCTL_HOME", "STACKCTL_DEBUG", "STACKCTL_STACK", "STACKCTL_TESTING_KEEP", "STACKCTL_CLIENT",
    "STACKCTL_PASSPHRASE_FILE",
)  # fmt: skip


Kept = tuple[Mapping[str, Any], str]
_NOTHING: Kept = ({}, "")


@dataclass(frozen=True)
class Effective:
    """Validated settings, and where each value came from.

    Attributes:
        settings: What applies.
        sources: Where each value came from that is no default.
        said: The settings that the user said for this stack: with flags, or the last time.
    """

    settings: Settings
    sources: Mapping[str, str]
    said: frozenset[str] = frozenset()

    def rows(self) -> list[tuple[str, str, str]]:
        """(key, value, source) of every setting, nested ones as `images.postgres`."""
        values = flat(self.settings.model_dump())
        values |= {
            f"images.{component}": values.get(f"images.{component}", image)
            for component, image in DEFAULT_IMAGES.items()
        }
        return [(key, shown(v), self.sources.get(key, "default")) for key, v in values.items()]


def shown(value: object) -> str:
    """A value as it is written in `--set` and in .env."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple | list) else str(value)


def resolve(
    scenario: Scenario,
    *,
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    dotenv: Path | None = None,
    kept: Kept = _NOTHING,
    told: Callable[[str], Kept] = lambda _name: _NOTHING,
    given_by: str = "--set",
) -> Effective:
    """The effective settings of `scenario`.

    Args:
        scenario: Its file gives the lowest layer above the defaults.
        flags: `key=value` pairs of `--set` and its short forms; the last one wins.
        environment: `STACKCTL_*` variables; the process's own where None.
        dotenv: A `.env` file, which need not exist.
        kept: All settings of an earlier deploy, which give the next layer, and where they are from.
        told: What was told of the stack of a name, above `dotenv`, and where.
        given_by: What the user wrote that became `flags`.

    Raises:
        UnknownName: A key that is no setting; the error names the nearest.
        BadSetting: A value that is refused, with the layer that it came from.
    """
    surroundings = _variables(os.environ if environment is None else environment)
    below = [(flat(scenario.settings), f"scenario {scenario.name}"), (flat(kept[0]), kept[1]),
             (_dotenv(dotenv), f"{dotenv}")]  # fmt: skip
    above = [
        *(({key: value}, f"environment {variable(key)}")
          for key, value in surroundings.items()),
        (pairs(flags), given_by),
    ]  # fmt: skip
    names = [found["name"] for found, _ in (*below, *above) if "name" in found]
    of_stack = told(str(names[-1]) if names else scenario.name)

    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for found, source in (*below, of_stack, *above):
        for key, value in found.items():
            _check_known(key, source)
            values[key], sources[key] = value, source
    _follow(values, sources)
    values.setdefault("name", scenario.name)
    sources.setdefault("name", f"scenario {scenario.name}")
    try:
        settings = Settings(**_nest(values))
    except ValidationError as error:
        raise _bad_setting(error, values, sources) from error
    chosen = unlike(scenario, kept[0]) if kept[0] else {}
    said = {
        key for key, source in sources.items()
        if source in (of_stack[1], given_by) or (source == kept[1] and key in chosen)
    }  # fmt: skip
    return Effective(settings, sources, frozenset(said - {"name"}))


def _follow(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Where HTTPS ends here, ports are those of the public address, unless somebody chose them."""
    if values.get("tls") not in OWN_TLS:
        return
    with contextlib.suppress(ValueError):
        port = Url.parse(str(values.get("public_url"))).port
        if sources.get("port", "scenario ").startswith("scenario "):
            values["port"], sources["port"] = port, "public_url"
        if port == USUAL_PORTS["https"] and "http_port" not in values:
            values["http_port"], sources["http_port"] = USUAL_PORTS["http"], "public_url"


def unlike(scenario: Scenario, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of all settings of an earlier deploy that its scenario would not give by itself."""
    usual = flat(resolve(scenario, environment={}).settings.model_dump(mode="json"))
    return {key: value for key, value in flat(settings).items()
            if key != "name" and value != usual.get(key)}  # fmt: skip


def stored(values: Mapping[str, Any], where: str) -> Settings:
    """Settings that an earlier deploy kept.

    Raises:
        UserError: This version does not take them.
    """
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"{where}: setting {'.'.join(map(str, first['loc']))}: {first['msg']}",
            hint="the stack was deployed by another version of stackctl; deploy it anew",
        ) from error


def dotenv_quoted(value: str) -> str:
    """`value` as python-dotenv and Compose read it back from a `.env` file.

    A shell's quoting does not do: neither reads `'it'"'"'s'`, and Compose then refuses to start.
    """
    if re.fullmatch(r"[\w.,:/@%+=-]*", value, re.ASCII):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def pairs(flags: Sequence[str]) -> dict[str, str]:
    """`key=value` each; of two for the same key the last one wins.

    Raises:
        UserError: One has no `=`.
    """
    found = {}
    for flag in flags:
        key, equals, value = flag.partition("=")
        if not equals:
            raise UserError(f"{flag!r} has no '='", hint="write KEY=VALUE, such as port=8080")
        found[key.strip()] = value
    return found


def _check_known(key: str, source: str) -> None:
    (*table, name) = split(key)
    if (key not in keys() and not (table and name)) or key.endswith("."):
        known = [f"{k}KEY" if k.endswith(".") else k for k in keys()]
        raise UnknownName("setting", key, known, source)


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the keys of `--set`: nested ones as `images.postgres`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= {f"{key}.{inner}": v for inner, v in flat(value).items()}
        else:
            found[key] = value
    return found


def _nest(values: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        (*tables, name) = split(key)
        place = nested
        for table in tables:
            place = place.setdefault(table, {})
        place[name] = value
    return nested


def variable(key: str) -> str:
    """The environment variable of a setting; names of MLflow's own variables stay as they are."""
    (*tables, name) = split(key)
    plain = name.upper().replace("-", "_").replace(".", "__")
    own = name if f"{'.'.join(tables)}." == _VARIABLES else plain
    return PREFIX + "__".join([*(table.upper() for table in tables), own])


def _key(variable: str) -> str:
    name = variable.removeprefix(PREFIX)
    lower = name.lower().replace("__", ".")
    if lower.startswith(_VARIABLES):
        return _VARIABLES + name.split("__", 2)[2]
    if lower.startswith(_ARGUMENTS):
        return _ARGUMENTS + lower.removeprefix(_ARGUMENTS).replace("_", "-")
    return lower


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        _key(name): value
        for name, value in sorted(environment.items())
        if name.startswith(PREFIX)
        and name not in PROGRAM_VARIABLES
        and not name.startswith("STACKCTL_TEST_")
    }


def _dotenv(path: Path | None) -> dict[str, str]:
    if path is None or not path.exists():
        return {}
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8") as file:
            found = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}", hint="mend or remove the file") from None
    for each in found:
        # `dotenv_values` warns of these without the file's name, and leaves them out.
        if each.error or (each.key is not None and each.value is None):
            # The line may hold a password.
            raise UserError(
                f"{path}:{each.original.line}: this is not NAME=VALUE, or a quote is left open",
                hint="write NAME='VALUE', or begin the line with # to leave it out",
            )
    return _variables({str(each.key): each.value or "" for each in found if each.key is not None})


def _bad_setting(
    error: ValidationError, values: Mapping[str, Any], sources: Mapping[str, str]
) -> BadSetting:
    first = error.errors()[0]
    reason = first["msg"].removeprefix("Value error, ")
    # What concerns several settings has no place; its reason begins with the first of them.
    place = first["loc"] or (reason.partition("=")[0],)
    key = ".".join(str(part) for part in place if isinstance(part, str))
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, Refused):
        key = f"{key}.{cause.name}"
        return BadSetting(key, values.get(key), sources.get(key, "default"), reason,
                          hidden=cause.hidden)  # fmt: skip
    if key not in values:
        key = str(place[0])
    inner = [k for k in values if k.startswith(f"{key}.")]
    source = sources.get(key) or ", ".join(dict.fromkeys(sources[k] for k in inner)) or "default"
    return BadSetting(key, values.get(key, first["input"]), source, reason)
