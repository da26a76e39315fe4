"""A Compose file of the user's own, which Compose merges with the rendered one."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from stackctl.errors import BadSetting
from stackctl.settings import Effective

# Compose looks for it beside `compose.yaml`.
NAME = "compose.override.yaml"
# What stackctl itself says of a service, and what decides it.
_OWN = {
    "ports": "port, artifacts_port, object_store_port, browser_port and bind",
    "image": "images.COMPONENT",
    "build": "image_flavor and images.tracking",
    "container_name": "name",
    "mem_limit": "memory.SERVICE",
    "entrypoint": "server.args and server.env",
    "command": "server.args and server.env",
    "depends_on": "the scenario",
    "healthcheck": "the scenario",
}
_MARK = "io.stackctl."
_TOP = ("services", "volumes", "networks", "configs", "secrets")


class _Loader(yaml.SafeLoader):
    """Takes Compose's own tags, `!reset` and `!override`."""


def _tagged(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    """A value with its tag."""
    plain: Any
    if isinstance(node, yaml.MappingNode):
        plain = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        plain = loader.construct_sequence(node, deep=True)
    else:
        plain = loader.construct_scalar(node)  # type: ignore[arg-type]
    return {f"!{suffix}": plain}


_Loader.add_multi_constructor("!", _tagged)


@dataclass(frozen=True)
class Overlay:
    """What such a file says.

    Attributes:
        services: Of each service.
        rest: Of everything else: volumes, networks and the like.
    """

    services: Mapping[str, Any] = field(default_factory=dict)
    rest: Mapping[str, Any] = field(default_factory=dict)

    def parts(self, name: str) -> list[str]:
        """What becomes a part of a service, as text; nothing where it says nothing of it."""
        if name not in self.services:
            return []
        return [json.dumps([self.services[name], self.rest], sort_keys=True, default=str)]


def read(text: str, services: Collection[str], effective: Effective) -> Overlay:
    """The file, where it changes only what stackctl runs and does not itself say.

    Args:
        text: What is in it; "" for none.
        services: Those of the stack.
        effective: Tells where the setting is from.

    Raises:
        BadSetting: It is no Compose file, or says what a setting says.
    """
    if not text:
        return Overlay()

    def refused(why: str) -> BadSetting:
        named = effective.settings.extra.compose
        return BadSetting(
            "extra.compose", named, effective.sources.get("extra.compose", "default"), why
        )

    try:
        found = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader with two tags more
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise refused(f"{where}it is no YAML") from None
    if not isinstance(found, dict) or not isinstance(found.get("services", {}), dict):
        raise refused("it is no Compose file: it has no mapping of services")
    for key in found:
        if key not in _TOP and not str(key).startswith("x-"):
            raise refused(f"it says {key!r}, and may say {', '.join(_TOP)}")
    named = found.get("services", {})
    for name, said in named.items():
        if name not in services:
            raise refused(f"the stack has no service {name!r}, but {', '.join(services)}")
        if not isinstance(said, dict):
            raise refused(f"what it says of service {name} is no mapping")
        for key in said:
            if key in _OWN:
                raise refused(f"services.{name}.{key} is stackctl's own to say: {_OWN[key]}")
        if _MARK in json.dumps(said.get("labels", ""), default=str):
            raise refused(f"services.{name}.labels: those with {_MARK} are stackctl's own")
    return Overlay(named, {key: value for key, value in found.items() if key != "services"})
