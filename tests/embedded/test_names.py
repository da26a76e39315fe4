"""Names of artifacts on a real object store, and behind a real proxy."""

import io
from pathlib import Path
from typing import ClassVar

from stackctl.deployment import Deployment
from stackctl.stores.base import Entry
from tests.contract.driving import ONE_WORKER, Deployed
from tests.stores.test_names import KEPT

NAMING = Path(__file__).with_name("naming.py")
# What SeaweedFS takes without a word, and keeps as something else.
SILENT = ["a//b", "a/", "back\\slash", ".uploads/x"]


class TestNames:
    scenario: ClassVar[str] = "scenario-5"
    settings: ClassVar = ONE_WORKER

    def test_the_store_keeps_what_is_not_refused_and_nothing_else(self, deployed: Deployed) -> None:
        deployment = Deployment.recorded(deployed.user.stack(deployed.name))
        paths = [f"{number}/{path}" for number, path in enumerate([*KEPT, *SILENT])]
        content = {path: path.encode() for path in paths}
        deployment.artifacts.load(
            deployment,
            (("artifacts", Entry(p, len(c)), io.BytesIO(c)) for p, c in content.items()),
        )
        found = {
            entry.path: file.read()
            for section, entry, file in deployment.artifacts.dump(deployment, lambda _: None)
            if section == "artifacts"
        }
        kept = [path for path in paths if found.get(path) == content[path]]
        assert kept == [
            p for p in paths if not deployment.artifacts.refusal(p, deployment.settings)
        ]
        assert len(kept) == len(KEPT)
        assert set(kept) <= set(deployment.artifacts.paths(deployment))

    def test_the_proxy_makes_of_names_what_the_docs_say(self, deployed: Deployed) -> None:
        deployed.user.client("name", deployed.name, NAMING)
