"""What of an origin a target cannot take, found before there is a target, and what the user wants.

A thing is left out, or cut, where the user says so; each is told. Everything else is refused.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from stackctl.deployment import Deployment
from stackctl.errors import UserError
from stackctl.operations.origins import Origin
from stackctl.stores import tree

_SHOWN = 20
# What MLflow's client does not ask a server for as it is, or the server does not find (3.17.2).
_UNASKED = re.compile(r"[#?\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}|(^|/) ")


class Choice(StrEnum):
    """What is done with things that do not fit, by the option that says so."""

    SKIP = "--skip-unreadable"
    TRUNCATE = "--truncate"


@dataclass(frozen=True)
class Finding:
    """Something that the target cannot take.

    Attributes:
        what: Which, and why not.
        choice: By which the rest of it can be had; None where there is none.
    """

    what: str
    choice: Choice | None


def examine(origin: Origin, target: Deployment, choices: Collection[Choice]) -> list[str]:
    """What will be left out and cut, a line each, and what else the user should know.

    Raises:
        UserError: The target cannot take something, and the user did not say what to do with it.
    """
    found = [Finding(f"{tree.shown(path)}: {why}", Choice.SKIP)
             for path, why in origin.unreadable()]  # fmt: skip
    found += _texts(origin, target)
    paths = list(origin.paths())
    found += _artifacts(target, paths)
    if blocking := [finding for finding in found if finding.choice not in choices]:
        raise _refusal(origin, target, blocking)
    words = {Choice.SKIP: "left out", Choice.TRUNCATE: "cut"}
    lines = [f"{words[finding.choice]}: {finding.what}" for finding in found if finding.choice]
    return lines + _unasked(target, paths)


def takes(target: Deployment, path: str) -> bool:
    """The target can keep an artifact of that path."""
    return not target.artifacts.refusal(path, target.settings)


def _texts(origin: Origin, target: Deployment) -> Iterator[Finding]:
    for misfit in origin.misfits(target):
        choice = Choice.TRUNCATE if misfit.cut else None
        yield Finding(f"{misfit.where}: {misfit.why}", choice)


def _artifacts(target: Deployment, paths: Collection[str]) -> Iterator[Finding]:
    files = set() if target.artifacts.nests(target.settings) else set(paths)
    for path in paths:
        why = target.artifacts.refusal(path, target.settings)
        if not why and any(str(parent) in files for parent in PurePosixPath(path).parents):
            yield Finding(f"artifact {tree.shown(path)}: another has the name of its folder", None)
        elif why:
            yield Finding(f"artifact {tree.shown(path)}: {why}", Choice.SKIP)


def _refusal(origin: Origin, target: Deployment, blocking: list[Finding]) -> UserError:
    more = [f"and {len(blocking) - _SHOWN} more"] if len(blocking) > _SHOWN else []
    ways = [f"{verb} {count} with {choice}" for choice, verb in
            ((Choice.SKIP, "leave out"), (Choice.TRUNCATE, "cut"))
            if (count := sum(finding.choice is choice for finding in blocking))]  # fmt: skip
    what = blocking[0].what
    if len(blocking) == 1:
        return UserError(
            f"one thing of {origin.name} would not reach {target.stack.name!r} as it is: {what}",
            hint=f"{' or '.join(['mend it', *ways])}; nothing was changed",
        )
    return UserError(
        f"{len(blocking)} things of {origin.name} would not reach {target.stack.name!r} as they "
        f"are; the first is {what}",
        hint=f"{' or '.join(['mend them', *ways])}; nothing was changed",
        details="\n".join([*(finding.what for finding in blocking[:_SHOWN]), *more]),
    )


def _unasked(target: Deployment, paths: Collection[str]) -> list[str]:
    if target.scenario.writer == "client":
        return []
    found = [path for path in paths if _UNASKED.search(path) and takes(target, path)]
    if not found:
        return []
    return [f"{len(found)} artifacts are copied under names that MLflow's client cannot ask a "
            f"server for, as {tree.shown(found[0])}: see docs/faq.md"]  # fmt: skip
