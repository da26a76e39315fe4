"""Fixtures every test with containers uses: `engine`, `docker_client`, `images`.

Loaded by tests/conftest.py with `pytest_plugins = ["tests.engine.fixtures"]`.
"""

from collections.abc import Iterator

import docker
import pytest

from tests import images as test_images
from tests.engine import Engine, EngineUnavailable, ensure
from tests.engine.connection import connect
from tests.engine.report import NO_ENGINE, used
from tests.images import Provenance


@pytest.fixture(scope="session")
def engine() -> Engine:
    """A Docker Engine that answers; skips with the reason where none can be had."""
    try:
        return ensure()
    except EngineUnavailable as unavailable:
        pytest.skip(f"{NO_ENGINE}: {unavailable.reason}")


@pytest.fixture(scope="session")
def docker_client(engine: Engine) -> Iterator[docker.DockerClient]:
    """A client of that engine."""
    client = connect(engine.host)
    yield client
    client.close()


@pytest.fixture(scope="session")
def images(engine: Engine, pytestconfig: pytest.Config) -> dict[str, Provenance]:
    """The shipped images by short name, pulled or stood in for; some may be `missing`."""
    images = test_images.ensure(engine.host)
    used(pytestconfig, images)
    return images
