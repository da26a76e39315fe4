"""What does not fit from one database into another, and how a table is asked for it.

The words for databases are those of scenario files: `sqlite`, `postgres`, `mysql`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Values = Mapping[str, object]
Query = Callable[[str], Iterable[Sequence[object]]]


@dataclass(frozen=True)
class Misfit:
    """A value that does not fit.

    Attributes:
        where: Table, column and row.
        why: What is wrong with it.
        cut: It can be cut and still be what it was, but shorter.
    """

    where: str
    why: str
    cut: bool = False


@dataclass(frozen=True)
class Shape:
    """The columns of a table by what they hold, and those of its primary key."""

    texts: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    integers: tuple[str, ...] = ()
    floats: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()


def identifier(source: str, name: str) -> str:
    """A name as that database takes it in a statement."""
    return f"`{name}`" if source == "mysql" else f'"{name}"'


def select(source: str, table: str, columns: Sequence[str]) -> str:
    """A query for columns of every row."""
    named = ", ".join(identifier(source, column) for column in columns)
    return f"SELECT {named} FROM {identifier(source, table)}"  # noqa: S608


def told(values: Values, key: Sequence[str]) -> str:
    """Which row it is, for people."""
    named = (f"{column} {str(values[column])[:80]!r}" for column in key)
    return ", ".join(named) or "a row"
