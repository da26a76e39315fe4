"""(scenario, settings, place) -> bundle. Pure: no disk but the package's own templates, no clock.

The same input gives the same bytes.
"""

from stackctl.render.bundle import Bundle, Service, project_name
from stackctl.render.compose import ComposeRendering
from stackctl.render.place import Component, Local, Place
from stackctl.render.processes import ProcessRendering
from stackctl.render.templates import yaml_quoted
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
    "script",
    "yaml_quoted",
]


def render(scenario: Scenario, effective: Effective, place: Place) -> Bundle:
    """Everything that `scenario` needs with these settings at this place.

    Raises:
        UserError: A service of the scenario lacks a setting that it needs.
        MachineError: A service is to be a process of this machine, which lacks its program.
    """
    return _kind(place)(scenario, effective, place).bundle()


def script(
    scenario: Scenario, effective: Effective, place: Place, service: str, template: str
) -> str:
    """The script `entrypoints/TEMPLATE` as `service` would run it; it is in no bundle."""
    rendering = _kind(place)(scenario, effective, place)
    return rendering.text(f"entrypoints/{template}.j2", name=service)


def _kind(place: Place) -> type[ComposeRendering] | type[ProcessRendering]:
    return ComposeRendering if place.local is None else ProcessRendering
