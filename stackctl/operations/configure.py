"""Changes to `stackctl.toml`, which the next deploy applies."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stackctl import scenarios, settings
from stackctl.errors import UnknownName, UserError
from stackctl.settings import SETTINGS_FILE, Effective, SettingsFile
from stackctl.stack import Home, choices

# By key: what the file said before and says now; None: nothing.
Changes = Mapping[str, tuple[str | None, str | None]]
_NEW = """\
# The stacks of this folder; `stackctl deploy` with no name deploys them all, in this order.
# docs/settings.md has every setting; `stackctl config` prints what applies.
"""


def set_(home: Home, name: str, pairs: Sequence[str]) -> Changes:
    """Have the file say settings of a stack, which need not be there yet.

    Args:
        home: The stack's.
        name: The stack's.
        pairs: `key=value` each; `scenario=NAME` for a stack that is new.

    Raises:
        UserError: A setting is refused, or nobody knows of which scenario the stack is.
    """
    given = settings.pairs(pairs)
    scenario = given.pop("scenario", "")
    if "name" in given:
        raise UserError(f"stack {name!r} is called as its table is", hint="leave name= out")
    with choices.changing(home) as file:
        _begin(home, file, name, scenario)
        before = dict(file.tables[name].settings)
        values = _values(_check(home, file, name, [f"{k}={v}" for k, v in given.items()]))
        file.put(name, file.tables[name].scenario, {key: values.get(key) for key in given})
    return {key: (_shown(before, key), settings.shown(values.get(key))) for key in given}


def unset(home: Home, name: str, keys: Sequence[str]) -> Changes:
    """Have the file say no more of settings of a stack, or with no keys of the stack at all.

    Raises:
        UserError: It does not say them, or what it still says cannot be without.
    """
    with choices.changing(home) as file:
        _begin(home, file, name)
        before = dict(file.tables[name].settings)
        for key in keys:
            if key not in before or not file.take(name, key):
                raise UnknownName("setting", key, list(before), file.tables[name].where)
        if keys:
            _check(home, file, name)
        else:
            file.take(name, "")
    return {key: (_shown(before, key), None) for key in keys or before}


@dataclass(frozen=True)
class Draft:
    """A copy of the file, for an editor.

    Attributes:
        path: The copy.
    """

    path: Path
    _home: Home
    _before: str

    def accept(self) -> bool:
        """Take the copy for the file; whether it differs.

        Raises:
            UserError: It cannot be used, or the file was changed meanwhile.
        """
        file = choices.read_text(self.path, self._home.settings_file)
        for name in file.tables:
            _check(self._home, file, name)
        with choices.changing(self._home) as there:
            if there.text != self._before:
                raise UserError(f"{self._home.settings_file} was changed meanwhile",
                                hint="edit it again; nothing of this was taken")  # fmt: skip
            there.replace(file.text)
        return file.text != self._before


@contextmanager
def draft(home: Home, name: str | None) -> Iterator[Draft]:
    """A copy of the file, in which the stack that is named has a table.

    Raises:
        UserError: There is no such stack.
    """
    file = choices.read(home)
    before = file.text
    if name is not None:
        _begin(home, file, name)
    with tempfile.TemporaryDirectory(prefix="stackctl-") as folder:
        path = Path(folder) / SETTINGS_FILE
        path.write_text(file.text or _NEW, encoding="utf-8")
        yield Draft(path, home, before)


def _begin(home: Home, file: SettingsFile, name: str, scenario: str = "") -> None:
    """Have the file say of which scenario a stack is, and what its last deploy said."""
    stack = home.stack(name)
    table, manifest = file.tables.get(name), stack.manifest()
    known = manifest.scenario if manifest else table.scenario if table else ""
    if known and scenario not in ("", known):
        raise UserError(f"stack {name!r} is of {known}, not {scenario}",
                        hint="choose another name; `stackctl promote` carries data upward"
                        )  # fmt: skip
    if table:
        return
    if not (known or scenario):
        raise UserError(f"stack {name!r} is neither in {home.settings_file} nor deployed",
                        hint=f"begin with: stackctl config set {name} scenario=scenario-3b"
                        )  # fmt: skip
    found = scenarios.load(known or scenario, home.scenarios)
    file.put(name, found.name, choices.last_said(stack, found))


def _check(home: Home, file: SettingsFile, name: str, flags: Sequence[str] = ()) -> Effective:
    """What a deploy would make of it, but for the environment."""
    table = file.tables[name]
    found = scenarios.load(table.scenario, home.scenarios)
    return settings.resolve(
        found, flags=[*flags, f"name={name}"], environment={}, dotenv=home.dotenv,
        told=lambda _name: (table.settings, table.where),
        given_by="the command line",
    )  # fmt: skip


def _values(effective: Effective) -> dict[str, object]:
    return settings.flat(effective.settings.model_dump(mode="json"))


def _shown(values: Mapping[str, object], key: str) -> str | None:
    return settings.shown(values[key]) if key in values else None
