"""`stackctl.toml`: the stacks of a home as they are to be, a table each, which people edit too.

[stacks.team]
scenario = "scenario-5"
auth = "basic"
images.postgres = "postgres:18.6"
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError, TOMLKitError
from tomlkit.items import InlineTable

from stackctl.errors import UserError
from stackctl.settings.layers import flat
from stackctl.settings.model import NAME_RULE, is_name, split

SETTINGS_FILE = "stackctl.toml"
_STACKS, _SCENARIO = "stacks", "scenario"
_HINT = "docs/settings.md has an example"


@dataclass(frozen=True)
class Table:
    """What the file says of a stack.

    Attributes:
        scenario: Of which scenario it is.
        settings: Its settings by the keys of `--set`, as they were written.
        where: The file and the table, for people.
    """

    scenario: str
    settings: Mapping[str, Any]
    where: str


class SettingsFile:
    """The text of a `stackctl.toml`; comments and order outlast what is changed.

    Args:
        path: The file, for people.
        text: What it holds; "" where there is none.

    Raises:
        UserError: It is no TOML, or not of stacks; the error names line or table.
    """

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        try:
            self._document = tomlkit.parse(text)
        except ParseError as error:
            raise UserError(f"{path}:{error.line}: {_reason(error)}", hint=_HINT) from error
        except TOMLKitError as error:
            raise UserError(f"{path}: {error}", hint=_HINT) from error
        self._check()

    @property
    def text(self) -> str:
        """What the file is to hold."""
        return tomlkit.dumps(self._document)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """What it says of each stack, in its order."""
        found = {}
        for name, table in self._document.unwrap().get(_STACKS, {}).items():
            values = {key: value for key, value in table.items() if key != _SCENARIO}
            found[name] = Table(table[_SCENARIO], flat(values), self._where(name))
        return found

    def replace(self, text: str) -> None:
        """Have it hold another text, which was read before."""
        self._document = tomlkit.parse(text)
        self.__dict__.pop("tables", None)

    def put(self, name: str, scenario: str, values: Mapping[str, Any]) -> None:
        """Have it say so of a stack, beside what it says already.

        Args:
            name: The stack's.
            scenario: Its scenario.
            values: Settings by the keys of `--set`; None is written as "".
        """
        before = self.tables
        stacks = self._document.setdefault(_STACKS, tomlkit.table(is_super_table=True))
        table = stacks.get(name)
        if table is None:
            stacks[name] = tomlkit.table()
            table = stacks[name]
        if table.get(_SCENARIO) != scenario:
            table[_SCENARIO] = scenario
        for key, value in values.items():
            (*outer, inner) = split(key)
            place = table
            for each in outer:
                place = place.setdefault(each, tomlkit.inline_table())
            place[inner] = "" if value is None else value
        self._keep_others(before, name)

    def take(self, name: str, key: str) -> bool:
        """Take a setting out, or with "" the whole table; whether it was there."""
        before = self.tables
        stacks = self._document.get(_STACKS, {})
        (*tables, wanted) = split(key) if key else (name,)
        places = [stacks.get(name, {}) if key else stacks]
        for table in tables:
            places.append(places[-1].get(table, {}))
        if wanted not in places[-1]:
            return False
        del places[-1][wanted]
        # Nor a table that is empty now.
        for place, table in reversed(list(zip(places, tables, strict=False))):
            if not place[table]:
                del place[table]
        self._keep_others(before, name)
        return True

    def _keep_others(self, before: Mapping[str, Table], name: str) -> None:
        """Tomlkit 0.15 loses some of what is written as `stacks.NAME.KEY`, with no heading."""
        after = SettingsFile(self._path, self.text).tables
        if {**before, name: None} != {**after, name: None}:
            raise UserError(f"{self._path} is written in a way that only people can change",
                            hint=f"begin each stack with [{_STACKS}.NAME]; nothing was changed"
                            )  # fmt: skip
        self.__dict__.pop("tables", None)

    def _check(self) -> None:
        for key, value in self._document.items():
            if key != _STACKS:
                raise UserError(f"{self._path}: there is no {key!r} in it: tables are called "
                                f"[{_STACKS}.NAME]", hint=_HINT)  # fmt: skip
            if not isinstance(value, Mapping) or isinstance(value, InlineTable):
                raise UserError(f"{self._path}: {key!r} is no table [{_STACKS}.NAME]", hint=_HINT)
        for name, table in self._document.get(_STACKS, {}).items():
            where = self._where(name)
            if not is_name(name):
                raise UserError(f"{where}: {name!r} is no name of a stack", hint=NAME_RULE)
            if not isinstance(table, Mapping):
                raise UserError(f"{where} is no table", hint=_HINT)
            if not isinstance(table.get(_SCENARIO), str):
                raise UserError(f"{where} does not say of which scenario it is",
                                hint=f'add to it {_SCENARIO} = "scenario-3b", for example'
                                )  # fmt: skip
            if "name" in table:
                raise UserError(f"{where}: a stack is called as its table is",
                                hint="leave `name` out, and rename the table")  # fmt: skip

    def _where(self, name: str) -> str:
        return f"{self._path} [{_STACKS}.{name}]"


def _reason(error: ParseError) -> str:
    return str(error).partition(" at line ")[0]
