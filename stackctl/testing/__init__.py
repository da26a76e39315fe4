"""A real MLflow tracking stack in your own tests.

    from stackctl.testing import TrackingStack

    with TrackingStack("scenario-5") as stack:
        mlflow.set_tracking_uri(stack.tracking_uri)

The pytest plugin, `stackctl.testing.plugin`, gives the fixtures `tracking_stack` and
`tracking_uri`. Every run of pytest loads it, so nothing is imported here before it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackctl.testing.tracking_stack import TrackingStack

__all__ = ["TrackingStack"]


def __getattr__(name: str) -> Any:
    if name == "TrackingStack":
        from stackctl.testing.tracking_stack import TrackingStack

        return TrackingStack
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
