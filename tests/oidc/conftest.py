"""A stack whose people log in at a provider that this test started."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from tests.browser.conftest import browser as browser
from tests.contract.driving import Deployed, User, free_port, words
from tests.contract.machine import Machine
from tests.oidc.provider import CLIENT, SECRET, Provider, Visitor, provider


@dataclass
class SignOn:
    """A stack with single sign-on.

    Attributes:
        deployed: The stack.
        provider: At which they log in.
    """

    deployed: Deployed
    provider: Provider

    @property
    def url(self) -> str:
        """The address of the stack."""
        return f"http://127.0.0.1:{self.deployed.words[5]}"

    def visitor(self, name: str) -> Visitor:
        """Somebody who has not logged in yet."""
        return Visitor(self.url, name)

    def come_in(self, name: str) -> Visitor:
        """Somebody who has."""
        visitor = self.visitor(name)
        visitor.log_in()
        return visitor

    def program(self, name: str, secret: str) -> Visitor:
        """One that logs in with each request, as MLflow's clients do."""
        visitor = self.visitor(name)
        visitor.session.auth = (name, secret)
        return visitor

    @property
    def own(self) -> Visitor:
        """What acts with the stack's secret."""
        return self.program("admin", self.deployed.stack.secrets.read("admin_password").reveal())


@pytest.fixture(scope="class")
def signing_on(
    request: pytest.FixtureRequest, machine: Machine, user: User, stack_name: Callable[[], str]
) -> Iterator[SignOn]:
    """The scenario that the class names; what nobody was given nobody may see."""
    host = request.getfixturevalue("provider_address")
    name = stack_name()
    chosen, port = words(request.cls.scenario, name), free_port()
    told = {
        "auth": "oidc", "oidc.issuer": f"http://{host}:{port}", "oidc.client_id": CLIENT,
        "oidc.groups": "ml", "oidc.admin_groups": "ml-admins",
        "default_permission": "NO_PERMISSIONS", "plain_http": "yes-on-a-trusted-network",
    }  # fmt: skip
    for key, value in told.items():
        chosen += ["--set", f"{key}={value}"]
    deployed = Deployed(user, tuple(chosen))
    deployed.stack.secrets.take("oidc_client_secret", SECRET)
    with provider(host, port, f"http://127.0.0.1:{chosen[5]}") as running:
        deployed.deploy()
        yield SignOn(deployed, running)


@pytest.fixture(scope="class")
def provider_address(request: pytest.FixtureRequest) -> str:
    """One of this machine that the services of the class's runtime reach."""
    if request.cls.runtime == "embedded":
        return "127.0.0.1"
    network = request.getfixturevalue("docker_client").networks.get("bridge")
    # The engine gives the bridge itself the first one.
    return str(ip_network(network.attrs["IPAM"]["Config"][0]["Subnet"])[1])
