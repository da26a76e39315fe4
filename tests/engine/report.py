"""What a run tells at its end: which images it used, and what it skipped for want of Docker."""

from typing import Any

import pytest

from tests.images import Provenance
from tests.images.provenance import as_table

NO_ENGINE = "no Docker Engine"
_TABLE = pytest.StashKey[str]()


def used(config: pytest.Config, images: dict[str, Provenance]) -> None:
    """Keep what the images were, until the run ends."""
    config.stash[_TABLE] = as_table(images)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """pytest-xdist: take over what a worker used."""
    if table := getattr(node, "workeroutput", {}).get("images"):
        node.config.stash[_TABLE] = table


def pytest_sessionfinish(session: pytest.Session) -> None:
    """pytest-xdist: in a worker, hand over what it used."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["images"] = session.config.stash.get(_TABLE, "")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """One table of images, and one loud line that counts the skipped tests."""
    if table := config.stash.get(_TABLE, ""):
        terminalreporter.section("images")
        terminalreporter.write_line(table)
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if NO_ENGINE in str(report.longrepr)
    ]
    if skipped:
        reason = str(skipped[0].longrepr[-1])
        terminalreporter.write_line(
            f"!!! {len(skipped)} TESTS WERE SKIPPED: {reason}", red=True, bold=True
        )
