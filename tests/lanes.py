"""The lanes of the tests: what each needs of the machine, as markers that `make` selects by.

    unit        nothing but Python                            make test-unit
    docker      a Docker Engine                               make test-docker
    embedded    real components as processes                  make test-embedded
    live        both, or a browser, or servers of databases   make test-live
    bench       the tests' own engine and images              make test-bench
    next        the next release of MLflow as what ships      make test-next

A class names in `rarely` those of its tests that `make test` leaves to another class, which shows
the same on another runtime; `make test-matrix` runs them all.

The test bench is tested only where its files or pins have changed since its tests last passed on
this machine: a file in the tests' cache says so. The tests of the next release run where that is
what ships: see `tests/next/`.
"""

import gc
import hashlib
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

from stackctl.versions import MLFLOW, older
from tests.engine.cache import cache_folder
from tests.next import NEXT

LANES = ("unit", "docker", "embedded", "live", "bench", "next")
_TESTS = Path(__file__).parent
_MEMORY, _ROOM = Path("/dev/shm"), 12 * 10**9
_FOLDERS = {
    "docker": "docker", "embedded": "embedded", "engine": "bench", "images": "bench",
    "audit": "live", "browser": "live", "examples": "live", "oidc": "live", "pythons": "live",
    "testing": "live",
    "next": "next" if older(MLFLOW, NEXT) else "embedded",
}  # fmt: skip
# What in those folders needs nothing.
_UNIT = (
    "examples/test_penguins_sources.py", "testing/test_wish.py", "testing/test_environment.py",
    "testing/test_docs_page.py",
)  # fmt: skip
_LIVE = ("courier/databases/",)
# Whose tests one process runs, for they share what takes minutes to make.
_TOGETHER = ("tests/courier/databases/",)


def pytest_configure(config: pytest.Config) -> None:
    """Every lane is a marker; what tests write is in memory, where there is enough of it."""
    if _room_in_memory():
        # pytest's own word for it (docs.pytest.org, "Temporary directories").
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
    for lane in LANES:
        config.addinivalue_line("markers", f"{lane}: see tests/lanes.py")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Bench(config))


def _room_in_memory() -> bool:
    """Programs can run there, and neither it nor the machine is full when all stacks are there.

    On a disk each file that takes another's place waits for it: half of the time of unit tests.
    """
    if not os.access(_MEMORY, os.W_OK) or os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC:
        return False
    room = min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available)
    return room > _ROOM


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Class by class or module by module, but for folders that are one."""

    def _split_scope(self, nodeid: str) -> str:
        folder = next((folder for folder in _TOGETHER if nodeid.startswith(folder)), "")
        return folder or str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Where `--dist loadscope` is asked for."""
    return _Scheduling(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays to the end: looking for garbage in it takes a third of the time.

    Nor does what one test leaves matter before many others have run.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(100_000, 20, 20)
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its lane, and leave the bench out where it is as it was."""
    for item in items:
        # A test may say itself that it takes more than its neighbours.
        if not any(item.get_closest_marker(lane) for lane in LANES):
            item.add_marker(lane_of(item))
        # What another class of the same tests always shows.
        rarely = getattr(getattr(item, "cls", None), "rarely", ())
        if {item.name, item.name.partition("[")[0]} & set(rarely):
            item.add_marker(pytest.mark.matrix)
    # What takes long begins first, and what takes moments fills the end.
    items.sort(key=lambda item: item.get_closest_marker("unit") is not None)
    _leave_out(config, items, "next")
    if config.getoption("markexpr") != "bench" and _stamp().exists():
        _leave_out(config, items, "bench")


def _leave_out(config: pytest.Config, items: list[pytest.Item], lane: str) -> None:
    out = [item for item in items if item.get_closest_marker(lane)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if not item.get_closest_marker(lane)]


def lane_of(item: pytest.Item) -> str:
    """The lane of a test: by its class's runtime, else by its folder."""
    path = item.path.relative_to(_TESTS).as_posix()
    if runtime := getattr(getattr(item, "cls", None), "runtime", ""):
        return str(runtime)
    if path.startswith(_LIVE):
        return "live"
    if path in _UNIT:
        return "unit"
    return _FOLDERS.get(path.partition("/")[0], "unit")


class _Bench:
    """What the bench's tests came to."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.passed, self.other = config, 0, 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count those of the bench."""
        if report.nodeid.startswith(("tests/engine/", "tests/images/")):
            self.passed += report.when == "call" and report.passed
            self.other += not report.passed

    def pytest_sessionfinish(self) -> None:
        """Keep in mind that the whole bench passed as it is now."""
        option = self.config.option
        whole = not option.keyword and {"tests", "tests/engine"} & set(self.config.args)
        if whole and self.passed and not self.other:
            _stamp().touch()


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    """Which lane is left out, and why."""
    if config.getoption("markexpr") != "bench" and _stamp().exists():
        return "bench: left out, as its files are those that passed last (make test-bench runs it)"
    return ""


def _stamp() -> Path:
    digest = hashlib.sha256()
    folders = [_TESTS / "engine", _TESTS / "images", _TESTS.parent / "templates" / "images"]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in [*files, _TESTS.parent / "templates" / "images.toml"]:
        if path.suffix != ".pyc":
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return cache_folder() / f"bench-passed-{digest.hexdigest()[:16]}"
