"""Names of artifacts on a real object store, and behind a real proxy."""

import io
from pathlib import Path
from typing import ClassVar

import pytest

from stackctl.deployment import Deployment
from stackctl.errors import MachineError
from stackctl.stores.base import Entry
from tests.contract.driving import ONE_WORKER, Deployed
from tests.stores.test_names import KEPT, LOST

NAMING = Path(__file__).with_name("naming.py")


def put(deployment: Deployment, path: str) -> None:
    """As a promotion does."""
    entry, content = Entry(path, len(path.encode())), io.BytesIO(path.encode())
    deployment.artifacts.load(deployment, [("artifacts", entry, content)])


class TestNames:
    scenario: ClassVar[str] = "scenario-5"
    settings: ClassVar = ONE_WORKER

    def test_the_store_keeps_what_is_not_refused(self, deployed: Deployed) -> None:
        deployment = Deployment.recorded(deployed.user.stack(deployed.name))
        wanted = [f"kept/{number}/{path}" for number, path in enumerate(KEPT)]
        for path in wanted:
            put(deployment, path)
        assert set(wanted) <= set(deployment.artifacts.paths(deployment))
        found = deployment.artifacts.dump(deployment, lambda _: None)
        content = {entry.path: file.read().decode() for _, entry, file in found}
        assert all(content[path] == path for path in wanted)

    @pytest.mark.matrix
    def test_what_is_refused_the_store_does_not_keep(self, deployed: Deployed) -> None:
        deployment = Deployment.recorded(deployed.user.stack(deployed.name))
        lost = [path for path in LOST if path and path.isprintable()]
        for path in [*lost, "back\\slash", ".uploads/x", "/".join(["d" * 200] * 6)]:
            assert deployment.artifacts.refusal(f"lost/{path}", deployment.settings), path
            try:
                put(deployment, f"lost/{path}")
            except MachineError:
                continue
            assert f"lost/{path}" not in set(deployment.artifacts.paths(deployment)), path

    def test_the_proxy_makes_of_names_what_the_docs_say(self, deployed: Deployed) -> None:
        deployed.user.client("name", deployed.name, NAMING)
