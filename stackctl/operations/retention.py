"""Which archives of a stack stay, and taking the others away.

The words and what they mean are restic's (its manual, "Removing backup snapshots"): of each hour,
day, week, month or year that has an archive, for so many of them, the newest stays.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from stackctl.archive import Archive
from stackctl.errors import BadArchive, MachineError, UserError
from stackctl.operations.backup import Listed, listed
from stackctl.progress import Meter
from stackctl.stack import Stack

# Of which archives the newest stays: those whose number in the order and moment give the same.
_RULES: dict[str, Callable[[int, datetime], object]] = {
    "last": lambda number, _: number,
    "hourly": lambda _, made: (made.date(), made.hour),
    "daily": lambda _, made: made.date(),
    "weekly": lambda _, made: made.isocalendar()[:2],
    "monthly": lambda _, made: (made.year, made.month),
    "yearly": lambda _, made: made.year,
}
_SHORT = {"h": "hourly", "d": "daily", "w": "weekly", "m": "monthly", "y": "yearly"}
_DAYS = {"h": 1 / 24, "d": 1, "w": 7, "m": 30, "y": 365}
_AGE = re.compile(r"([0-9]{1,6})([hdwmy])")
_WITHIN = "within"
_WORDS = ", ".join([*_RULES, _WITHIN])


@dataclass(frozen=True)
class Keep:
    """What stays.

    Attributes:
        counts: By rule, of how many hours, days and so on one stays.
        within: All that are so much older than the newest, or less.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    within: timedelta | None = None

    @classmethod
    def parse(cls, text: str) -> "Keep":
        """`7d,4w,6m`, or in full `daily=7,weekly=4,monthly=6,last=3,within=30d`.

        Raises:
            UserError: It is no such thing, or would keep nothing.
        """
        counts: dict[str, int] = {}
        within = None
        for part in filter(None, (part.strip() for part in text.split(","))):
            if short := _AGE.fullmatch(part):
                rule, value = _SHORT[short[2]], short[1]
            else:
                rule, _, value = part.partition("=")
            if rule == _WITHIN and (age := _AGE.fullmatch(value)):
                within = timedelta(days=int(age[1]) * _DAYS[age[2]])
            elif rule in _RULES and re.fullmatch(r"[0-9]{1,6}", value):
                counts[rule] = int(value)
            else:
                raise UserError(
                    f"--keep {text!r}: {part!r} says nothing of what stays",
                    hint=f"write it as 7d,4w,6m, or NAME=COUNT with {_WORDS}=30d",
                )
        if not within and not any(counts.values()):
            raise UserError(f"--keep {text!r} would keep nothing", hint="such as 7d,4w,6m")
        return cls(counts, within)

    def chosen(self, made: Sequence[datetime]) -> list[tuple[str, ...]]:
        """By which rules each stays; by none where it goes.

        Args:
            made: When each was made, the newest first.
        """
        found: list[list[str]] = [[] for _ in made]
        for rule, bucket in _RULES.items():
            left, before = self.counts.get(rule, 0), object()
            for number, moment in enumerate(made):
                this = bucket(number, moment)
                if left and this != before:
                    found[number].append(rule)
                    left, before = left - 1, this
        if self.within is not None:
            for number, moment in enumerate(made):
                if made[0] - moment <= self.within:
                    found[number].append(_WITHIN)
        return [tuple(rules) for rules in found]


@dataclass(frozen=True)
class Choice:
    """An archive, and why it stays; it goes where there is no reason."""

    archive: Listed
    reasons: tuple[str, ...]


def choose(stack: Stack, folder: Path, keep: Keep) -> list[Choice]:
    """What becomes of each archive of a stack in a folder, the newest first.

    One that cannot be read stays, for nobody knows whose it is, and so does one that an upgrade
    which is not over yet would go back to.

    Raises:
        UserError: There is none of that stack.
    """
    found = listed(folder)
    mine = [(made, one) for one in found if (made := _made(one, stack.name)) is not None]
    mine.sort(key=lambda pair: pair[0], reverse=True)
    if not mine:
        raise UserError(
            f"{folder} holds no archive of stack {stack.name!r}",
            hint="see what is there: stackctl backup list FOLDER",
        )
    rules = keep.chosen([made for made, _ in mine])
    needed = _needed(stack)
    choices = [
        Choice(one, (*reasons, *(["an upgrade needs it"] if one.path == needed else [])))
        for (_, one), reasons in zip(mine, rules, strict=True)
    ]
    return choices + [Choice(one, ("it cannot be read",)) for one in found if one.problem]


def prune(choices: Sequence[Choice], meter: Meter) -> list[Path]:
    """Take away those that go, the oldest first, once the newest is known to be whole.

    Raises:
        BadArchive: It is not; nothing was taken away.
        MachineError: One could not be taken away.
    """
    going = [choice.archive.path for choice in choices if not choice.reasons]
    if not going:
        return []
    newest = choices[0].archive.path
    with Archive(newest) as archive:
        meter.expect(f"verifying {newest.name}", int(archive.manifest["bytes"]))
        try:
            archive.verify(meter.advance)
        except BadArchive as error:
            raise BadArchive(
                newest, f"{error.reason}; it is the newest, so none was taken away",
                hint="take another backup, and see that it is whole: stackctl backup verify FILE",
            ) from error  # fmt: skip
    gone: list[Path] = []
    for path in reversed(going):
        try:
            path.unlink()
        except FileNotFoundError:
            continue  # somebody else's prune was first
        except OSError as error:
            raise MachineError(
                f"{path} cannot be taken away: {error.strerror}",
                hint=f"{len(gone)} were; mend that, and run the same command again",
            ) from error
        gone.append(path)
    return gone


def _made(one: Listed, stack: str) -> datetime | None:
    """When an archive of that stack was made, in this machine's time; None of any other."""
    if one.manifest.get("stack") != stack:
        return None
    try:
        return datetime.fromisoformat(str(one.manifest["created"])).astimezone()
    except ValueError:
        return None


def _needed(stack: Stack) -> Path | None:
    manifest = stack.manifest()
    archive = manifest.upgrade.get("archive") if manifest else None
    return Path(archive) if archive else None
