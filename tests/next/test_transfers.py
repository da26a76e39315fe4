"""Short cuts past the artifact proxy in MLflow 3.18: what the plug-in is needed for.

A server without `proxied_s3`, on the bucket of a stack.
"""

import json
from collections.abc import Iterator
from typing import ClassVar

import pytest
import requests

from tests.contract.driving import ONE_WORKER, Deployed
from tests.next.serving import serving


class TestWithoutPlugin:
    scenario = "scenario-4"
    settings: ClassVar = ONE_WORKER

    def test_no_short_cut_is_offered_unless_the_server_is_told(self, server: str) -> None:
        told = requests.get(f"{server}/api/3.0/mlflow/server-info", timeout=20).json()
        assert told["multipart_uploads_enabled"] is False
        assert told["multipart_downloads_enabled"] is False

    def test_what_is_not_there_is_still_an_error_of_the_server(self, server: str) -> None:
        """Where this fails, the plug-in has nothing left to do for servers of this release."""
        place = f"{server}/api/2.0/mlflow-artifacts/artifacts/0/nothing.txt"
        assert requests.get(place, timeout=60).status_code == 500


@pytest.fixture(scope="class")
def server(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """It has the bucket's keys and address, as a client of scenario-4 does."""
    told = json.loads(deployed.user.ok("env", deployed.name, "--format", "json"))
    keys = {key: value for key, value in told.items() if key != "MLFLOW_TRACKING_URI"}
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, "s3://mlflow/artifacts", keys) as address:
        yield address
