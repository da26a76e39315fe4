"""What can go wrong, as types: each says what happened, with which value, and what to do next.

Exit codes are decided here and nowhere else:

| code | meaning |
|---|---|
| 0 | done |
| 1 | a bug in stackctl, or, under `plan --detailed-exitcode`, any error |
| 2 | the user's input: nothing was changed |
| 3 | the machine: daemon, disk, port, or a stack that did not become ready |
| 4 | undone: it failed half-way, and what was there before is back |
| 5 | done, but not whole: a backup lacks artifacts that its rows name |
| 130 | interrupted by Ctrl-C |
"""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

# A backup was made, and lacks artifacts that lie where it cannot read them.
LEFT_OUT = 5


class StackctlError(Exception):
    """A failure that is told to the user in one line.

    Args:
        message: What happened, with the value that caused it.
        hint: What to do next.
        details: Lines shown below the message, such as a service's last log lines.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", details: str = "") -> None:
        self.message = message
        self.hint = hint
        self.details = details
        super().__init__(f"{message}; {hint}" if hint else message)


class UserError(StackctlError):
    """The user's input cannot be used; nothing was changed."""

    exit_code = 2


class MachineError(StackctlError):
    """The machine cannot do what was asked."""

    exit_code = 3


class Undone(MachineError):
    """Something failed half-way, and what was there before is back and was checked by use."""

    exit_code = 4


def did_you_mean(word: str, known: list[str]) -> str:
    """A hint that names the nearest known word, or lists all of them."""
    near = get_close_matches(word, known, n=1, cutoff=0.65)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known)) or 'none'}"


class UnknownName(UserError):
    """Something was named that does not exist."""

    def __init__(self, what: str, name: str, known: list[str], source: str = "") -> None:
        self.name = name
        told = f" (from {source})" if source else ""
        super().__init__(f"there is no {what} {name!r}{told}", hint=did_you_mean(name, known))


class BadSetting(UserError):
    """A setting's value is refused; one that may be a secret is not told."""

    def __init__(
        self, key: str, value: object, source: str, reason: str, *, hidden: bool = False
    ) -> None:
        self.key = key
        shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:76]}…"
        shown = "…" if hidden else shown
        super().__init__(f"setting {key}={shown} (from {source}): {reason}")


class WouldOpen(UserError):
    """A deploy would let more people reach a stack, and nobody has said that they may."""

    def __init__(self, stack: str, changes: list[str]) -> None:
        super().__init__(
            f"this opens stack {stack!r} to more people: {'; '.join(changes)}",
            hint="if that is meant, add --yes; nothing was changed",
        )


class BadScenario(UserError):
    """A scenario file is malformed."""

    def __init__(self, path: str, line: int, key: str, reason: str) -> None:
        self.path, self.line, self.key = path, line, key
        at = f"{path}:{line}" if line else path
        super().__init__(f"{at}: {key}: {reason}", hint="see docs/scenarios.md for the format")


class BadSecret(UserError):
    """A secret's file cannot be used. The value is never part of the message."""

    def __init__(self, path: Path, reason: str, hint: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"secret {path}: {reason}", hint=hint)


class PortTaken(MachineError):
    """Another program listens where the stack wants to."""

    def __init__(self, setting: str, address: str, port: int, owner: str) -> None:
        self.port, self.owner = port, owner
        super().__init__(
            f"port {port} on {address} is taken by {owner}",
            hint=f"stop it, or choose another with --set {setting}=PORT",
        )


class Busy(MachineError):
    """Another process works on the same stack."""


class NotReady(MachineError):
    """A stack did not start, or started and failed the round trip."""


class NotRunning(MachineError):
    """A stack is not in the state in which clients can use it."""

    def __init__(self, name: str, scenario: str, state: str) -> None:
        self.name, self.state = name, state
        super().__init__(
            f"stack {name!r} is {state}, so nothing can use it",
            hint=f"start it: stackctl deploy {scenario} --name {name}"
            if state in ("stopped", "removed", "deploying")
            else f"see why: stackctl show {name}",
        )


class MissingPackages(UserError):
    """A client's Python lacks packages."""

    def __init__(self, python: str, packages: Sequence[str], install: Sequence[str]) -> None:
        self.packages = tuple(packages)
        super().__init__(
            f"{python} has no {', '.join(packages)}",
            hint=f"install what is missing: {python} -m pip install {' '.join(install)}; "
            "or name another Python with --python",
        )


class ExampleFailed(MachineError):
    """A program or a notebook of an example ended with an error, which it has printed."""

    def __init__(self, part: str, code: int, stack: str, hint: str = "") -> None:
        self.part, self.code = part, code
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        super().__init__(
            f"{part} {how} on stack {stack!r}",
            hint=hint or f"its own message is above; is the stack well: stackctl smoke {stack}",
        )


class SmokeFailed(MachineError):
    """A step of a smoke failed, or none could be tried."""


class BadArchive(UserError):
    """A file is no backup, or not a whole one."""

    def __init__(self, path: Path, reason: str, hint: str = "") -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"archive {path} cannot be used: {reason}",
            hint=hint or "take another backup; nothing was changed",
        )
