"""A browser in front of stacks on which the quickstart ran and a model was registered."""

import functools
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser import chromium
from tests.browser.window import MILLISECONDS, SIZE, Window
from tests.contract.driving import COMMAND, Deployed, User, words
from tests.contract.https import behind_tls

# Below the checkout, where CI finds them; git ignores it.
SCREENSHOTS = Path("test-output") / "screenshots"
REGISTER = Path(__file__).with_name("register_model.py")


@dataclass(frozen=True)
class Shown:
    """A stack with something to show.

    Attributes:
        deployed: The stack.
        run: The address of the quickstart's run, as MLflow printed it.
    """

    deployed: Deployed
    run: str

    @functools.cached_property
    def ui(self) -> str:
        """Its address."""
        return str(self.deployed.user.show(self.deployed.name)["ui"])

    @property
    def login(self) -> tuple[str, str] | None:
        """Name and password of who looks, where the stack asks for them."""
        if self.deployed.stack.require_manifest().settings["auth"] == "none":
            return None
        return "admin", self.deployed.stack.secrets.read("admin_password").reveal()

    def ask(self, path: str) -> dict[str, Any]:
        """What the server answers."""
        trusted = self.deployed.stack.secrets.path / "ca_certificate"
        answer = requests.get(
            f"{self.ui}{path}", timeout=60, auth=self.login,
            verify=str(trusted) if trusted.exists() else True,
        )  # fmt: skip
        answer.raise_for_status()
        return dict(answer.json())


@pytest.fixture(scope="class")
def shown(
    request: pytest.FixtureRequest, user: User, stack_name: Callable[[], str]
) -> Iterator[Shown]:
    """The scenario that the class names, in use."""
    found, name = request.cls.scenario, stack_name()
    path = request.cls.path
    deployed = Deployed(
        user, behind_tls(found, name, path, "auth=basic") if path else tuple(words(found, name))
    )
    deployed.deploy()
    out = user.ok("example", "quickstart", deployed.name)
    # Not at once: of two clients that set a new experiment, the second logs to the default one
    # (mlflow/tracking/fluent.py, 3.17.2).
    register(deployed)
    (run,) = re.findall(r"View run quickstart at: (\S+)", out)
    yield Shown(deployed, run)
    user.run("remove", deployed.name, "--volumes", "--confirm", deployed.name)


def register(deployed: Deployed) -> None:
    """Register a model in a shell that evaluated `stackctl env`."""
    user = deployed.user
    stackctl = shlex.join([*COMMAND, "env", deployed.name])
    client = shlex.join([sys.executable, str(REGISTER)])
    done = subprocess.run(
        ["bash", "-euc", f'eval "$({stackctl})"; {client}'],
        env=user.environment, cwd=user.home, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# Not of the session: the driver keeps an event loop, in which no other test could run its own.
@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium without a screen, whose own files are the tests'."""
    try:
        found = chromium.find()
    except chromium.ChromiumUnavailable as reason:
        pytest.fail(f"no browser: {reason}", pytrace=False)
    expect.set_options(timeout=MILLISECONDS)
    home = tmp_path_factory.mktemp("chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found.program, args=chromium.ARGUMENTS,
            env={"PATH": "/usr/bin:/bin", "HOME": str(home), **found.variables},
        )  # fmt: skip
        yield browser
        browser.close()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def window(browser: Browser, shown: Shown) -> Iterator[Window]:
    """A new window of somebody who was never here before."""
    width, height = SIZE
    login = {"username": shown.login[0], "password": shown.login[1]} if shown.login else None
    # A person would have told the browser of the stack's own authority.
    page = browser.new_page(
        viewport={"width": width, "height": height},
        http_credentials=login,  # type: ignore[arg-type]
        ignore_https_errors=True,
    )
    window = Window(page, shown.ui)
    yield window
    window.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail where anything in the window went wrong; keep how it looked at the end."""
    window = getattr(item, "funcargs", {}).get("window")
    if not isinstance(window, Window):
        return (yield)
    name = re.sub(r"\W+", "-", item.nodeid.partition("::")[2].removeprefix("Test"))
    picture = item.config.rootpath / SCREENSHOTS / f"{name}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    try:
        result = yield
        assert window.problems == []
    except BaseException:
        item.add_report_section("call", "window", f"{picture}\n{window.told()}")
        raise
    finally:
        window.page.screenshot(path=picture)
    return result
