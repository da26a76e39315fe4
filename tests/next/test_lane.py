"""What the lane does to a checkout, and what there is to do when the release ships."""

import subprocess

import pytest

from stackctl.versions import MLFLOW
from tests.next.lane import PINS, ROOT, raised


@pytest.mark.unit
@pytest.mark.parametrize("name", PINS)
def test_each_pin_names_the_release_that_ships_and_is_raised(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert MLFLOW in text
    changed = raised(text, "99.0.0")
    assert "99.0.0" in changed
    assert MLFLOW not in changed


@pytest.mark.unit
def test_nothing_else_pins_it() -> None:
    pinned = rf"mlflow(\[auth\])?(==| = \"){MLFLOW}"
    told = subprocess.run(
        ["git", "grep", "--no-index", "--exclude-standard", "-lE", pinned, "--", ".", ":!docs"],
        cwd=ROOT, text=True, capture_output=True, check=False,
    ).stdout  # fmt: skip
    # Where a copy is raised, the lock files are still those of before.
    locks = {f"templates/images/mlflow/{name}.lock" for name in ("requirements", "oidc")}
    named = set(told.splitlines()) - locks
    assert named == set(PINS)
