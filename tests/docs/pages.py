"""The documentation as text: its pages, and what tests take from them."""

import re
from collections.abc import Iterator
from pathlib import Path

from stackctl import scenarios

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / ".secrets.example" / "README.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
SHIPPED = sorted(scenarios.names())


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: str, *languages: str) -> list[str]:
    """The fenced blocks of these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)


def spans(page: str) -> list[str]:
    """The code spans of a page."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def rows(page: str) -> Iterator[list[str]]:
    """The cells of every row of every table; a `|` in a code span counts as one of the row."""
    for line in page.splitlines():
        if line.startswith("|") and not set(line) <= set("|- :"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def headings(page: str, level: int) -> list[str]:
    """The headings of one level, outside of fenced blocks."""
    return re.findall(rf"^{'#' * level} (.*)$", prose(page), re.MULTILINE)


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next of any level."""
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL
    )
    return found[1] if found else ""


def links(page: str) -> list[str]:
    """Where the links and pictures of a page lead, Markdown's own and those in HTML."""
    return [
        *re.findall(r"\]\(([^)\s]+)\)", prose(page)),
        *re.findall(r"""(?:src|href)="([^"]+)\"""", prose(page)),
    ]
