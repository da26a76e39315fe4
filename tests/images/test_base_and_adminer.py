"""The base image our own images are built on, and the database browser."""

import urllib.error
import urllib.request

from tests.engine.waiting import wait_until
from tests.images.conftest import Start

SLEEP = ["sleep", "600"]


def test_base_is_the_python_its_tag_names(start: Start) -> None:
    box = start("base", SLEEP)
    for name in ("python", "python3"):
        assert box.run(name, "--version")[1].startswith("Python 3.13.")


def test_base_lets_pip_install_over_tls(start: Start) -> None:
    box = start("base", SLEEP)
    into = ("python", "-m", "venv", "/tmp/v")
    assert box.run(*into)[0] == 0
    for pip in ("pip", "/tmp/v/bin/pip"):
        code, said = box.run(pip, "install", "--quiet", "iniconfig")
        assert code == 0, said
    assert box.run("python", "-c", "import iniconfig")[0] == 0


def test_base_has_what_entry_points_use_and_no_more(start: Start) -> None:
    box = start("base", SLEEP)
    dropped = box.run("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "id", "-u")
    assert dropped == (0, "1000\n")
    assert box.run("bash", "-c", "true")[0] == 0
    assert box.run("sh", "-c", "command -v curl || command -v wget")[0] != 0


def test_adminer_proposes_the_server_it_was_told(start: Start) -> None:
    box = start("adminer", environment={"ADMINER_DEFAULT_SERVER": "the-database"}, ports=(8080,))

    def page() -> str:
        try:
            with urllib.request.urlopen(box.url(8080), timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            return ""

    wait_until(lambda: "auth[password]" in page(), "the login page")
    assert "value='the-database'" in page().replace('"', "'")
    assert "6.1.2" in page()


def test_adminer_is_not_root(start: Start) -> None:
    box = start("adminer")
    assert box.run("id", "-un") == (0, "adminer\n")
