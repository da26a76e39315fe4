"""A browser in front of stacks on which the quickstart ran and a model was registered."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser import chromium
from tests.browser.window import MILLISECONDS, SIZE, Window
from tests.contract.driving import COMMAND, Deployed, User, words
from tests.contract.machine import Machine

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

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self.deployed.words[5]}"


@pytest.fixture(scope="class")
def machine(request: pytest.FixtureRequest) -> Machine:
    """The machine of the runtime that the class names."""
    machine = request.getfixturevalue(f"{request.cls.runtime}_machine")
    assert isinstance(machine, Machine)
    return machine


@pytest.fixture(scope="class")
def shown(
    request: pytest.FixtureRequest, user: User, stack_name: Callable[[], str]
) -> Iterator[Shown]:
    """The scenario that the class names, in use."""
    deployed = Deployed(user, tuple(words(request.cls.scenario, stack_name())))
    deployed.deploy()
    create_experiment(deployed, "quickstart")
    quickstart = user.start("example", "quickstart", deployed.name)
    register(deployed)
    out, err = quickstart.communicate(timeout=120)
    assert quickstart.returncode == 0, err
    (run,) = re.findall(r"View run quickstart at: (\S+)", out)
    yield Shown(deployed, run)
    user.run("remove", deployed.name, "--volumes", "--confirm", deployed.name)


def create_experiment(deployed: Deployed, name: str) -> None:
    """Make an experiment.

    Of two clients that set a new one at once, the second logs to the default one
    (mlflow/tracking/fluent.py, 3.17.2).
    """
    made = urllib.request.Request(
        f"http://127.0.0.1:{deployed.words[5]}/api/2.0/mlflow/experiments/create",
        json.dumps({"name": name}).encode(), {"Content-Type": "application/json"},
    )  # fmt: skip
    urllib.request.urlopen(made, timeout=120).close()


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
    window = Window(browser.new_page(viewport={"width": width, "height": height}), shown.ui)
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
