"""What can go wrong, as types: each says what happened, with which value, and what to do next.

Exit codes are decided here and nowhere else:

| code | meaning |
|---|---|
| 0 | done |
| 1 | a bug in stackctl, or, under `plan --detailed-exitcode`, any error |
| 2 | the user's input: nothing was changed |
| 3 | the machine: daemon, disk, port, or a stack that did not become ready |
| 130 | interrupted by Ctrl-C |
"""

from difflib import get_close_matches
from pathlib import Path


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


def did_you_mean(word: str, known: list[str]) -> str:
    """A hint that names the nearest known word, or lists all of them."""
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"


class UnknownName(UserError):
    """Something was named that does not exist."""

    def __init__(self, what: str, name: str, known: list[str]) -> None:
        self.name = name
        super().__init__(f"there is no {what} {name!r}", hint=did_you_mean(name, known))


class BadSetting(UserError):
    """A setting's value is refused."""

    def __init__(self, key: str, value: object, source: str, reason: str) -> None:
        self.key = key
        shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:76]}…"
        super().__init__(f"setting {key}={shown} (from {source}): {reason}")


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


class NotReady(MachineError):
    """A stack did not start, or started and failed the round trip."""
