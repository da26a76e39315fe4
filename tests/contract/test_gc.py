"""What was deleted in MLflow goes for good, and nothing else does."""

import json
from typing import ClassVar

import pytest

from tests.contract.driving import ONE_WORKER, Deployed


class Collects:
    """One stack, with things in it that were deleted."""

    def test_what_is_shown_goes_and_the_rest_stays(self, deployed: Deployed) -> None:
        user, name = deployed.user, deployed.name
        user.client("litter", name)
        ids = json.loads(user.state(name).read_text())["ids"]
        assert user.ok("gc", name) == ""  # nothing is older than 30 days
        shown = user.run("gc", name, "--older-than", "0s")
        listed = {key for key, found in ids.items() if f" {found} " in shown.stdout}
        assert listed == {"gone", "gone model", "old", "old run", "old model"}, shown.stdout
        assert f"kept: run {ids['registered']}" in shown.stderr
        assert f"kept: experiment {ids['half']}" in shown.stderr
        # It shows the same because it changed nothing.
        told = user.run("gc", name, "--older-than", "0s", "--yes")
        assert told.returncode == 0, told.stderr
        assert told.stdout == shown.stdout
        user.client("tidied", name)


class TestGc(Collects):
    """Files; a database and a folder; a bucket behind a server whose address each run keeps.

    A database and a bucket are collected in tests/contract/test_rotation.py, always.
    """

    runtime = "embedded"
    settings: ClassVar[tuple[str, ...]] = ONE_WORKER

    @pytest.mark.parametrize(
        "deployed",
        [
            pytest.param("scenario-3a", marks=pytest.mark.matrix),
            pytest.param("scenario-2", marks=pytest.mark.matrix),
            pytest.param("scenario-6", marks=pytest.mark.matrix),
        ],
        indirect=True,
    )
    def test_what_is_shown_goes_and_the_rest_stays(self, deployed: Deployed) -> None:
        super().test_what_is_shown_goes_and_the_rest_stays(deployed)
