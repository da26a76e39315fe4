"""Operations on a machine that is not there."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from stackctl.operations import backup, restore
from stackctl.stack import Home
from tests.operations.fake import FakeRuntime, in_place
from tests.operations.machine import Machine
from tests.operations.stage import Stage


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for one test after the other."""
    return tmp_path_factory.mktemp("operations")


@pytest.fixture
def tmp_path(place: Path) -> Path:
    """The same path for each test, so that what is rendered for it is rendered once."""
    for path in place.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return place


@pytest.fixture
def machine(home: Home) -> Machine:
    """A machine on which nothing happened yet."""
    return Machine(home)


@pytest.fixture
def runtime(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    """Its runtime, which is where stackctl finds it."""
    return in_place(machine, monkeypatch)


@pytest.fixture
def stage(home: Home, machine: Machine, runtime: FakeRuntime) -> Iterator[Stage]:
    """A user with an empty home at that machine.

    Ctrl-C is one also where these tests run in the background of a shell, whose jobs ignore it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Stage(home, machine, runtime)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on every disk is nearly full."""
    full = SimpleNamespace(total=10**9, used=10**9, free=10**6)
    return lambda: monkeypatch.setattr(shutil, "disk_usage", lambda _: full)


@pytest.fixture
def quick_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets sealed in no second, which it is made to take; test_sealed shows the real thing."""

    def unseal(sealed: bytes, passphrase: str) -> dict[str, str]:
        word, _, values = sealed.decode().partition(" ")
        assert word == passphrase
        return dict(json.loads(values[::-1]))

    def seal(values: dict[str, str], passphrase: str) -> bytes:
        return f"{passphrase} {json.dumps(values)[::-1]}".encode()

    monkeypatch.setattr(backup, "seal", seal)
    monkeypatch.setattr(restore, "unseal", unseal)
