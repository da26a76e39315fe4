"""A team's stack as another host meets it: by its name, below a path, and nothing else open."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar

import pytest

from tests.contract.driving import Deployed, User, free_port
from tests.contract.https import behind_tls
from tests.contract.machine import Machine
from tests.contract.second_host import SecondHost, second_host

NAME, PREFIX = "ml.stackctl.test", "/mlflow"


class SecondHosts:
    """scenario-5 on an address that the other host reaches, with a login and `transfers=direct`."""

    runtime: ClassVar[str]

    @pytest.fixture(scope="class")
    def there(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondHost]:
        with second_host(NAME, tmp_path_factory.mktemp("second")) as there:
            yield there

    @pytest.fixture(scope="class")
    def before(self, there: SecondHost) -> set[int]:
        """What was open before there was a stack."""
        return there.open_ports()

    @pytest.fixture(scope="class")
    def deployed(
        self, machine: Machine, user: User, stack_name: Callable[[], str], there: SecondHost,
        before: set[int],
    ) -> Deployed:  # fmt: skip
        objects = f"object_store_port={free_port()}"
        chosen = list(
            behind_tls("scenario-5", stack_name(), PREFIX, "auth=basic", f"bind={there.address}",
                       "transfers=direct", objects)
        )  # fmt: skip
        chosen = [word.replace("https://localhost:", f"https://{NAME}:") for word in chosen]
        deployed = Deployed(user, tuple(chosen))
        deployed.deploy()
        return deployed

    def test_a_client_there_uses_it_by_its_name(
        self, deployed: Deployed, there: SecondHost
    ) -> None:
        person = replace(deployed.user, prefix=there.prefix)
        for what in ("write", "read", "large"):
            person.client(what, deployed.name)

    def test_nothing_is_open_but_the_proxy(
        self, deployed: Deployed, there: SecondHost, before: set[int]
    ) -> None:
        chosen = deployed.stack.require_manifest().settings
        own = {int(chosen["port"]), int(chosen["object_store_port"])}
        opened = there.open_ports()
        assert own <= opened
        deployed.user.ok("remove", deployed.name)
        others = there.open_ports(*(opened - before))
        # What is open still is of whoever runs beside this test.
        assert opened - before - others == own


class TestEmbedded(SecondHosts):
    runtime = "embedded"


@pytest.mark.matrix
class TestDocker(SecondHosts):
    runtime = "docker"
