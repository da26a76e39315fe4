"""What an image turned out to be."""

from dataclasses import dataclass
from typing import Literal

Source = Literal["official", "stand-in", "missing"]


@dataclass(frozen=True)
class Provenance:
    """Where the image under an official name came from; `missing` where it cannot be had here."""

    image: str
    source: Source
    detail: str


def as_table(found: dict[str, Provenance]) -> str:
    """The provenance of several images as plain text, one line each under a heading."""
    rows = [("NAME", "IMAGE", "SOURCE", "DETAIL")]
    rows += [(name, each.image, each.source, each.detail) for name, each in sorted(found.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*padded, row[3]]))
    return "\n".join(lines)
