"""(scenario, settings, host) -> bundle. Pure: no disk but the package's own templates, no clock.

The same input gives the same bytes. Which rendering a stack has, its runtime says.
"""

from stackctl.render.bundle import Bundle, Program, Service, project_name
from stackctl.render.compose import ComposeRendering
from stackctl.render.host import Component, Host, ProcessHost
from stackctl.render.overlay import NAME as EXTRA
from stackctl.render.processes import ProcessRendering
from stackctl.render.rendering import Rendering
from stackctl.render.templates import yaml_quoted

__all__ = [
    "EXTRA",
    "Bundle",
    "Component",
    "ComposeRendering",
    "Host",
    "ProcessHost",
    "ProcessRendering",
    "Program",
    "Rendering",
    "Service",
    "project_name",
    "yaml_quoted",
]
