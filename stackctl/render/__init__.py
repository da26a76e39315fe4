"""(scenario, settings, place) -> bundle. Pure: no disk but the package's own templates, no clock.

The same input gives the same bytes.
"""

from stackctl.render.base import (
    Bundle,
    Component,
    Local,
    Place,
    Service,
    project_name,
    yaml_quoted,
)
from stackctl.render.compose import ComposeRendering
from stackctl.render.processes import ProcessRendering
from stackctl.scenario import Scenario
from stackctl.settings import Effective

__all__ = [
    "Bundle",
    "Component",
    "Local",
    "Place",
    "Service",
    "project_name",
    "render",
    "yaml_quoted",
]


def render(scenario: Scenario, effective: Effective, place: Place) -> Bundle:
    """Everything that `scenario` needs with these settings at this place.

    Raises:
        UserError: A service of the scenario lacks a setting that it needs.
        MachineError: A service is to be a process of this machine, which lacks its program.
    """
    kind = ComposeRendering if place.local is None else ProcessRendering
    return kind(scenario, effective, place).bundle()
