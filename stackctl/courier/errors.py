"""How a courier complains: one line on standard error, and the exit code that stackctl uses too."""


class CourierError(Exception):
    """A failure that is told in one line."""

    exit_code = 1


class Refused(CourierError):
    """What was asked or sent cannot be taken; nothing was changed."""

    exit_code = 2


class DatabaseFailed(CourierError):
    """The database cannot be reached, or it failed for a reason that is not the data."""

    exit_code = 3


class Misfit(Exception):
    """A value that a column cannot hold; whoever knows table and column makes it a `Refused`."""


def shortened(value: object, limit: int = 80) -> str:
    """A value as it may stand in a message."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def first_line(error: BaseException) -> str:
    """What an error says in one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
