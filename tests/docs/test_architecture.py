"""The map of the code is of the code that there is."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from stackctl import kinds
from stackctl.services import SERVICES
from tests.docs import architecture
from tests.docs.pages import DOCS, ROOT, rows, section, spans, text

PAGE = text(DOCS / "architecture.md")
SOURCE = ROOT / "stackctl"
ADDED = [row for row in rows(section(PAGE, "To add a thing")) if row[0] != "To add"]


def told() -> dict[str, tuple[str, str]]:
    """Floor and purpose of each room of the table, by its path."""
    first, *others = rows(section(PAGE, "The rooms"))
    assert first == ["Floor", "Room", "What it is for"]
    return {room.strip("`"): (floor, purpose) for floor, room, purpose in others}


def paths(cell: str) -> list[str]:
    """The files and folders that a cell names."""
    return [span for span in spans(cell) if re.fullmatch(r"\S*(/|\.[a-z0-9]+)\S*", span)]


def exists(path: str, folders: Iterable[Path]) -> bool:
    """There is such a file or folder in one of `folders`; NAME stands for any."""
    pattern = path.rstrip("/").replace("NAME", "*")
    return any(next(folder.glob(pattern), None) for folder in folders)


@cache
def defined() -> set[str]:
    """Every class of the package with its methods, every function, every name of a module."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(text(path)).body:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                found.add(ast.unparse(target))
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found |= {node.name, *(f"{node.name}.{name}" for name in methods(node))}
    return found


def methods(node: ast.AST) -> Iterator[str]:
    yield from (inner.name for inner in ast.iter_child_nodes(node)
                if isinstance(inner, ast.FunctionDef))  # fmt: skip


def test_every_room_is_in_the_table_in_its_place() -> None:
    wanted = [(room.path, str(room.floor)) for room in architecture.rooms()]
    assert [(room, floor) for room, (floor, _) in told().items()] == wanted


def test_every_module_of_the_package_is_a_room() -> None:
    there = {path.parent.name + "/" for path in SOURCE.glob("*/__init__.py")}
    there |= {path.name for path in SOURCE.glob("*.py")}
    assert there - {"__init__.py"} == told().keys()


@pytest.mark.parametrize("room", told())
def test_the_files_that_are_told_of_a_room_are_in_it(room: str) -> None:
    for path in paths(told()[room][1]):
        assert exists(path, [SOURCE / room, ROOT]), path


@pytest.mark.parametrize("row", ADDED, ids=lambda row: row[0])
def test_what_is_touched_to_add_a_thing_is_there(row: list[str]) -> None:
    found = paths(row[1])
    # One without its folder is in a folder that the row has named.
    named = [ROOT / path for path in found if "/" in path]
    folders = [path if path.is_dir() else path.parent for path in named]
    assert named
    assert not [path for path in found if not exists(path, [ROOT, *folders])]


def test_every_name_of_the_page_is_in_the_code() -> None:
    found = {span for span in spans(PAGE) if re.fullmatch(r"[A-Z]\w+(\.\w+)?", span)}
    found |= set(re.findall(r"\b[A-Z]\w+\.\w+(?=\(\))", PAGE))
    assert len(found) > 10
    assert {name for name in found if not exists(name, [ROOT])} <= defined()


# The picture


def test_the_picture_is_what_the_program_makes() -> None:
    made = architecture.svg()
    assert text(architecture.PICTURE) == made, "run: python -m tests.docs.architecture"


def test_every_way_leads_down() -> None:
    floor = {room.name: room.floor for room in architecture.rooms()}
    found = architecture.imports()
    assert found
    assert not [(one, other) for one, other in found if floor[one] <= floor[other]]


# What the page says that a test holds


def test_every_service_is_documented() -> None:
    listed = rows(section(text(DOCS / "scenarios.md"), "The keys of a scenario file"))
    assert {row[0].strip("`") for row in listed if len(row) == 3} - {"Service"} == set(SERVICES)


@pytest.mark.parametrize(
    ("key", "known"), [("backend", kinds.BACKENDS), ("artifacts", kinds.ARTIFACTS)]
)
def test_every_kind_of_store_is_documented(key: str, known: dict[str, object]) -> None:
    listed = rows(section(text(DOCS / "scenarios.md"), "The keys of a scenario file"))
    (values,) = (row[2] for row in listed if row[0] == f"`{key}`" and len(row) == 4)
    assert set(re.findall(r"`(\w+)`", values)) == set(known)
