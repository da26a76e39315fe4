"""What a person finds in the UI of a stack, going there by clicks."""

import re
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Shown
from tests.browser.window import Window


class EveryUI:
    """Where there is a `path`, with HTTPS and a login, below it."""

    runtime: ClassVar[str]
    scenario: ClassVar[str]
    path: ClassVar[str] = ""

    def test_run_is_listed_by_its_name(self, window: Window) -> None:
        window.open_runs()
        window.sees(window.run("quickstart"))
        model = re.compile(r"^quickstart-model\s*v1$")
        window.sees(window.page.get_by_role("link").filter(has_text=model))
        window.sees(window.page.get_by_text("2 matching runs"))

    def test_metric_is_drawn(self, window: Window, shown: Shown) -> None:
        window.open_runs()
        window.run("quickstart").click()
        expect(window.page).to_have_url(shown.run)
        window.sees_text("param1")
        window.turn_to("Model metrics")
        card = window.page.get_by_test_id("experiment-view-compare-runs-card")
        window.sees(card.get_by_text("foo", exact=True))
        points = card.locator(".js-plotly-plot path.point")
        expect(points).to_have_count(3)
        drawn = points.evaluate_all(MIDDLES)
        assert proportions([x for x, _ in drawn]) == pytest.approx([0, 0.5, 1], abs=0.02)
        heights = proportions([y for _, y in drawn])
        assert heights == pytest.approx(proportions(history(shown, "foo")), abs=0.02)
        window.sees(card.locator(".js-plotly-plot path.js-line").first)

    def test_text_of_an_artifact_is_shown(self, window: Window, shown: Shown) -> None:
        window.open(shown.run)
        window.turn_to("Artifacts")
        window.choose("outputs")
        window.choose("test.txt")
        window.sees_text("hello world!")

    def test_registered_model_is_found_with_its_alias(self, window: Window) -> None:
        window.open()
        window.choose("Model training")
        window.follow("Model registry")
        window.choose("Try it now")
        expect(window.row("quickstart-model")).to_contain_text("@ champion: Version 1")
        window.follow("quickstart-model")
        expect(window.row("Version 1")).to_contain_text("@ champion")


class TestBelowAPath(EveryUI):
    runtime = "embedded"
    scenario = "scenario-3b"
    path = "/team/mlflow"

    def test_open_leads_to_the_ui(self, window: Window, shown: Shown, tmp_path: Path) -> None:
        given = tmp_path / "given"
        browser = tmp_path / "my browser"
        browser.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{given}"\n')
        browser.chmod(0o755)
        user = shown.deployed.user.having({"BROWSER": str(browser)})
        user.ok("open", shown.deployed.name)
        (address,) = given.read_text().splitlines()
        assert address == shown.ui
        window.open(address)
        window.sees(window.page.get_by_role("link", name="quickstart", exact=True))


@pytest.mark.matrix
class TestScenario3b(EveryUI):
    runtime = "embedded"
    scenario = "scenario-3b"


@pytest.mark.matrix
class TestScenario5(EveryUI):
    runtime = "docker"
    scenario = "scenario-5"


# Of each element in the window: where its middle is.
MIDDLES = """
elements => elements.map(element => {
  const box = element.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
})
"""


def run_id(shown: Shown) -> str:
    return shown.run.rpartition("/")[2]


def history(shown: Shown, metric: str) -> list[float]:
    """The values of a metric of the run, as the server has them."""
    query = urlencode({"run_id": run_id(shown), "metric_key": metric})
    found = shown.ask(f"/api/2.0/mlflow/metrics/get-history?{query}")["metrics"]
    return [point["value"] for point in sorted(found, key=lambda point: point["step"])]


def proportions(values: list[float]) -> list[float]:
    """Where each lies between the first, which is 0, and the last, which is 1."""
    first, last = values[0], values[-1]
    return [(value - first) / (last - first) for value in values]
