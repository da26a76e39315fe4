"""(bundle wanted, state observed) -> steps. Pure; each step carries its cause, prints as text."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from stackctl.observed import Observed
from stackctl.render import Bundle

_SIGNS = {
    "generate": "+", "create": "+", "write": "+", "build": "+", "pull": "+", "start": "+",
    "change": "~", "recreate": "~", "restart": "~",
    "remove": "-", "delete": "-",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One thing that a deploy does."""

    action: str
    kind: str
    name: str
    cause: str

    def __str__(self) -> str:
        return f"{_SIGNS[self.action]} {self.action:<9}{self.kind:<9}{self.name}  ({self.cause})"


@dataclass(frozen=True)
class Plan:
    """What a deploy does, in this order."""

    steps: tuple[Step, ...]

    def __bool__(self) -> bool:
        return bool(self.steps)

    def __str__(self) -> str:
        if not self.steps:
            return "Nothing to do: the stack is as it should be."
        made = sum(_SIGNS[step.action] == "+" for step in self.steps)
        changed = sum(_SIGNS[step.action] == "~" for step in self.steps)
        gone = sum(_SIGNS[step.action] == "-" for step in self.steps)
        lines = [str(step) for step in self.steps]
        return "\n".join([*lines, f"Plan: {made} to make, {changed} to change, {gone} to remove."])

    @property
    def makes_folder(self) -> bool:
        """The data folder did not exist."""
        return any(step.kind == "folder" for step in self.steps)

    def touches_services(self) -> bool:
        """Some service is made, changed, started or taken away."""
        return any(step.kind == "service" for step in self.steps)


def plan(
    bundle: Bundle,
    observed: Observed,
    *,
    files: Mapping[str, str],
    missing_secrets: list[str],
    settings: Mapping[str, tuple[str, str, str]] | None = None,
    data: str = "",
) -> Plan:
    """The steps from what is observed to what the bundle says.

    Args:
        bundle: What is wanted.
        observed: What is there.
        files: `{relative path: text}` of the bundle that was deployed last.
        missing_secrets: Secrets that have no file yet.
        settings: `{key: (value of the last deploy, value now, source)}` of those that differ.
        data: The data folder, where it is still to be made.
    """
    steps = [
        Step("change", "setting", key, f"{old or 'empty'} -> {new or 'empty'}, from {source}")
        for key, (old, new, source) in (settings or {}).items()
    ]
    steps += [Step("generate", "secret", name, "it has no file") for name in missing_secrets]
    if data:
        steps.append(Step("create", "folder", data, "local stores need it"))
    steps += _file_steps(bundle, files)
    for image in dict.fromkeys(service.image for service in bundle.services):
        if image == bundle.installs and image not in observed.images:
            steps.append(Step("create", "program", image, "it is not installed"))
        elif image not in observed.images:
            action = "build" if image == bundle.built_image else "pull"
            steps.append(Step(action, "image", image, "it is not on the daemon"))
    steps += [
        Step("create", "network", name, "it does not exist")
        for name in bundle.networks
        if name not in observed.networks
    ]
    steps += [
        Step("create", "volume", name, "it does not exist")
        for name in bundle.volumes
        if name not in observed.volumes
    ]
    steps += _service_steps(bundle, observed)
    return Plan(tuple(steps))


def diff(bundle: Bundle, files: Mapping[str, str]) -> str:
    """A unified diff from the files that are there to those of the bundle."""
    lines: list[str] = []
    for name, (text, _) in sorted(bundle.files.items()):
        if name.endswith(".lock"):
            continue
        lines += difflib.unified_diff(
            files.get(name, "").splitlines(), text.splitlines(),
            f"a/{name}" if name in files else "/dev/null", f"b/{name}", lineterm="",
        )  # fmt: skip
    for name in sorted(set(files) - set(bundle.files)):
        lines += difflib.unified_diff(
            files[name].splitlines(), [], f"a/{name}", "/dev/null", lineterm=""
        )
    return "\n".join(lines)


def _file_steps(bundle: Bundle, files: Mapping[str, str]) -> list[Step]:
    steps = []
    for name, (text, _) in bundle.files.items():
        if name not in files:
            steps.append(Step("write", "file", name, "it does not exist"))
        elif files[name] != text:
            old, new = files[name].splitlines(), text.splitlines()
            count = sum(
                line[0] in "+-" for line in difflib.unified_diff(old, new, n=0, lineterm="")
            )
            cause = f"{count - 2} lines differ" if count else "its line ends differ"
            steps.append(Step("change", "file", name, cause))
    steps += [
        Step("delete", "file", name, "no longer part of the stack")
        for name in sorted(set(files) - set(bundle.files))
    ]
    return steps


def _service_steps(bundle: Bundle, observed: Observed) -> list[Step]:
    steps = []
    for service in bundle.services:
        there = observed.services.get(service.name)
        if there is None:
            steps.append(Step("create", "service", service.name, "it does not exist"))
        elif there.digest != service.digest:
            cause = (
                f"image {there.image} -> {service.image}"
                if there.image != service.image
                else "its definition or a script of it changed"
            )
            steps.append(Step("recreate", "service", service.name, cause))
        elif service.one_shot:
            if not there.settled:
                steps.append(Step("start", "service", service.name, f"it is {there}"))
        elif there.state != "running":
            steps.append(Step("start", "service", service.name, f"it is {there}"))
        elif there.health == "unhealthy":
            steps.append(Step("restart", "service", service.name, "it is unhealthy"))
    wanted = {service.name for service in bundle.services}
    steps += [
        Step("remove", "service", name, "no longer part of the stack")
        for name in sorted(set(observed.services) - wanted)
    ]
    return steps
