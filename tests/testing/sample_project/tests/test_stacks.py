"""Which tests share a stack, and that tests without one are left alone."""

import os
from collections.abc import Callable

import mlflow
import pytest
from training import train

from stackctl.testing import TrackingStack


def test_another_file_has_the_same_stack(
    tracking_stack: TrackingStack, record_property: Callable[[str, object], None]
) -> None:
    assert tracking_stack.scenario == "scenario-3b"
    record_property("stack", tracking_stack.name)
    record_property("runtime", tracking_stack.runtime)


def test_test_without_a_stack_is_no_client_of_one() -> None:
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert not mlflow.is_tracking_uri_set()


@pytest.mark.tracking_stack("scenario-2")
class TestOtherScenario:
    def test_marker_asks_for_another(self, tracking_uri: str) -> None:
        assert tracking_uri.startswith("sqlite:")
        assert mlflow.get_run(train(2)).data.params == {"depth": "2"}

    @pytest.mark.tracking_stack("scenario-3b")
    def test_nearest_marker_counts_and_equal_wishes_share_a_stack(
        self, tracking_stack: TrackingStack, record_property: Callable[[str, object], None]
    ) -> None:
        record_property("stack", tracking_stack.name)
