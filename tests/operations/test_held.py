"""The one door to a stack: nothing else takes its lock or writes its manifest."""

import ast
from pathlib import Path

import stackctl

SOURCE = Path(stackctl.__file__).parent
DOOR = SOURCE / "operations" / "held.py"
# Of `Stack`: what only the door may do.
KEPT = {"locked", "save", "forget"}


def uses(path: Path) -> list[str]:
    """Calls of the kept methods on a stack's record."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in KEPT:
            owner = ast.unparse(node.value)
            if owner == "stack" or owner.endswith(".stack"):
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno}: {owner}.{node.attr}")
    return found


def test_only_the_door_takes_the_lock_and_writes_the_manifest() -> None:
    assert uses(DOOR), "the door itself is found"
    elsewhere = [use for path in SOURCE.rglob("*.py") if path != DOOR for use in uses(path)]
    assert elsewhere == []
