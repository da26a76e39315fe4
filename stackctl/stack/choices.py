"""What was chosen about a stack, and is kept: its table in the home's `stackctl.toml`."""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stackctl import scenarios, settings
from stackctl.errors import MachineError, UserError
from stackctl.scenario import Scenario
from stackctl.settings import Effective, Kept, Settings, SettingsFile
from stackctl.stack.files import write_files
from stackctl.stack.folder import Home, Stack
from stackctl.versions import MLFLOW

# Nobody chose it, where a stack was deployed by a stackctl that kept no choices.
_FORMER_MLFLOW = "3.17.2"


def effective(
    home: Home, scenario: Scenario, flags: Sequence[str], *, kept: Kept = ({}, "")
) -> Effective:
    """The settings that a stack is to have, by all that says something about it.

    Args:
        home: The stack's.
        scenario: The stack's.
        flags: `key=value` pairs; one may name the stack.
        kept: As `settings.resolve` takes it.

    Raises:
        UserError: One is refused, or `stackctl.toml` says that the stack is of another scenario.
    """
    return settings.resolve(
        scenario,
        flags=flags,
        dotenv=home.dotenv,
        kept=kept,
        told=lambda name: _told(home, name, scenario),
    )


def read(home: Home) -> SettingsFile:
    """The home's `stackctl.toml`, empty where there is none.

    Raises:
        UserError: It is malformed.
        MachineError: It cannot be read.
    """
    return read_text(home.settings_file)


def read_text(path: Path, called: Path | None = None) -> SettingsFile:
    """As `read`, of a file that has another name for people."""
    path, file = called or path, path
    try:
        return SettingsFile(path, file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return SettingsFile(path, "")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error.reason}", hint="mend the file") from error
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error.strerror}",
                           hint="make it readable for this user") from error  # fmt: skip


def meant(home: Home, word: str, flags: Sequence[str]) -> tuple[str, list[str]]:
    """The scenario's name and the flags, where a word may name a stack in place of a scenario.

    Raises:
        UserError: It names a stack, and the flags another one.
    """
    if table := read(home).tables.get(word):
        scenario = table.scenario
    elif (word not in scenarios.names(home.scenarios) and settings.is_name(word)
          and (manifest := home.stack(word).manifest())):  # fmt: skip
        scenario = manifest.scenario
    else:
        return word, list(flags)
    others = [flag for flag in flags if flag.startswith("name=") and flag != f"name={word}"]
    if others and word != scenario:
        raise UserError(f"{word} is a stack, and {others[-1]} another one",
                        hint=f"for another one, begin with its scenario, {scenario}")  # fmt: skip
    return scenario, [f"name={word}", *flags]


def has(stack: Stack) -> bool:
    """The stack has a table."""
    return stack.name in read(stack.home).tables


def told(stack: Stack) -> list[str]:
    """The settings of the stack's table as flags; none where it has none."""
    table = read(stack.home).tables.get(stack.name)
    return (
        [f"{key}={settings.shown(value)}" for key, value in table.settings.items()] if table else []
    )


def to_save(stack: Stack, scenario: Scenario, wanted: Effective) -> dict[str, Any]:
    """The settings that a deploy is to write into the stack's table: what it does not say yet."""
    table = read(stack.home).tables.get(stack.name)
    values = wanted.settings.model_dump(mode="json")
    if table is None and not wanted.sources:  # as it was deployed last
        return chosen(scenario, values)
    there = table.settings if table else {}
    flat = settings.flat(values)
    return {key: flat.get(key) for key in sorted(wanted.said)
            if key not in there or settings.shown(there[key]) != settings.shown(flat.get(key))
            }  # fmt: skip


def save(stack: Stack, scenario: str, values: dict[str, Any]) -> str:
    """Write settings into the stack's table; returns what was written, for people.

    Raises:
        UserError: The file became malformed meanwhile.
        MachineError: It cannot be written.
    """
    with changing(stack.home) as file:
        known = stack.name in file.tables
        file.put(stack.name, scenario, values)
    listed = [f"{key}={settings.shown(value)}" for key, value in values.items()]
    return ", ".join(listed if known else [f"{scenario} as [stacks.{stack.name}]", *listed])


def save_release(stack: Stack, upgraded: Settings) -> None:
    """Have the stack's table name the release that serves it, where a deploy would take another."""
    with changing(stack.home) as file:
        table = file.tables.get(stack.name)
        if table is None:
            return
        values = {f"images.{key}": image for key, image in upgraded.images.items()
                  if key == "tracking"}  # fmt: skip
        if "mlflow_version" in table.settings or upgraded.mlflow_version != MLFLOW:
            values["mlflow_version"] = upgraded.mlflow_version
        file.put(stack.name, table.scenario, values)


def refuse_read_only(home: Home) -> None:
    """`stackctl.toml` can be written.

    Raises:
        UserError: It cannot; nothing was changed.
    """
    path = home.settings_file.resolve()
    place = path if path.exists() else path.parent
    # As whom it acts, with what that may do.
    if not os.access(place, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise UserError(f"{path} cannot be written, and this deploy has settings to keep there",
                        hint="make it writable, or add --no-save; nothing was changed")  # fmt: skip


@contextmanager
def changing(home: Home) -> Iterator[SettingsFile]:
    """The home's `stackctl.toml`, which is written at the end where it was changed.

    Of several processes one after the other has it.
    """
    folder = os.open(home.path, os.O_RDONLY)
    try:
        with suppress(OSError):  # a share that knows no locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        file = read(home)
        before = file.text
        yield file
        if file.text != before:
            _write(home.settings_file, file.text)
    finally:
        os.close(folder)


def _write(path: Path, text: str) -> None:
    """Replace a file, where a link leads to it; its mode stays."""
    path = path.resolve()
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    write_files(path.parent, {path.name: (text, mode)})


def chosen(scenario: Scenario, values: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen, of all settings of the last deploy."""
    found = settings.unlike(scenario, values)
    if found.get("mlflow_version") == _FORMER_MLFLOW:
        del found["mlflow_version"]
    return found


def last_said(stack: Stack, scenario: Scenario) -> dict[str, Any]:
    """What was chosen about a stack by an earlier stackctl, which did not write it down."""
    manifest = stack.manifest()
    if manifest is None or manifest.filed or not manifest.deployed_at:
        return {}
    return chosen(scenario, manifest.settings) if manifest.scenario == scenario.name else {}


def _told(home: Home, name: str, scenario: Scenario) -> Kept:
    if not settings.is_name(name):
        return {}, ""
    stack = home.stack(name)
    table = read(home).tables.get(name)
    if table is None:
        return last_said(stack, scenario), "the last deploy"
    if table.scenario == scenario.name:
        return table.settings, table.where
    if stack.manifest() is not None:  # it is of another scenario itself, which is refused elsewhere
        return {}, ""
    raise UserError(
        f"{table.where} says that the stack is of {table.scenario}, not {scenario.name}",
        hint=f"choose another name with --name, or run: stackctl config unset {name} --all",
    )
