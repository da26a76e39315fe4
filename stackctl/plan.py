"""(bundle wanted, state observed) -> steps. Pure; each step carries its cause, prints as text.

What is decided here is what a runtime then does: it looks for no differences of its own.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType

from stackctl.observed import Observed
from stackctl.render import Bundle, Service

_SIGNS = {
    "generate": "+", "create": "+", "write": "+", "build": "+", "pull": "+", "install": "+",
    "start": "+",
    "open": "!", "need": "!", "change": "~", "recreate": "~", "restart": "~", "reload": "~",
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
        changed = sum(_SIGNS[step.action] in "~!" for step in self.steps)
        gone = sum(_SIGNS[step.action] == "-" for step in self.steps)
        lines = [str(step) for step in self.steps]
        return "\n".join([*lines, f"Plan: {made} to make, {changed} to change, {gone} to remove."])

    @property
    def makes_folder(self) -> bool:
        """The data folder did not exist."""
        return any(step.kind == "folder" for step in self.steps)

    @property
    def rekeys(self) -> bool:
        """What MLflow encrypted in the database is encrypted anew."""
        return any(step.kind == "keys" for step in self.steps)

    @property
    def opens(self) -> tuple[Step, ...]:
        """By what more people reach the stack than before."""
        return tuple(step for step in self.steps if step.action == "open")

    @property
    def services(self) -> tuple[Step, ...]:
        """What is made, changed, started or taken away of the services: the runtime's part."""
        return tuple(step for step in self.steps if step.kind == "service")


def plan(
    bundle: Bundle,
    observed: Observed,
    *,
    files: Mapping[str, str],
    missing_secrets: list[str],
    needed_secrets: Sequence[str] = (),
    settings: Mapping[str, tuple[str, str, str]] | None = None,
    data: str = "",
    rekeyed: str = "",
    stale: Mapping[str, str] = MappingProxyType({}),
    outdated: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """The steps from what is observed to what the bundle says.

    Args:
        bundle: What is wanted.
        observed: What is there.
        files: `{relative path: text}` of the bundle that was deployed last.
        missing_secrets: Secrets that have no file yet, and get one.
        needed_secrets: Those that nobody but the user can make, and that are not there.
        settings: `{key: (value of the last deploy, value now, source)}` of those that differ.
        data: The data folder, where it is still to be made.
        rekeyed: Why what MLflow encrypted is to be encrypted anew; "" where it is not.
        stale: As for `service_steps`.
        outdated: Likewise.
    """
    steps = [_setting_step(key, *change) for key, change in (settings or {}).items()]
    steps += [Step("generate", "secret", name, "it has no file") for name in missing_secrets]
    steps += [Step("need", "secret", name, "yours to put there: it has no file")
              for name in needed_secrets]  # fmt: skip
    if data:
        steps.append(Step("create", "folder", data, "local stores need it"))
    steps += _file_steps(bundle, files)
    steps += [
        Step(program.action, program.kind, program.name, program.missing)
        for program in bundle.programs
        if program.name not in observed.programs
    ]
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
    if rekeyed:
        steps.append(Step("change", "keys", "of webhooks and gateway", rekeyed))
    steps += service_steps(bundle.services, observed, stale=stale, outdated=outdated)
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


def _setting_step(key: str, old: str, new: str, source: str) -> Step:
    told = f"{old or 'empty'} -> {new or 'empty'}, from {source}"
    if key == "auth" and new == "none":
        return Step("open", "setting", key, f"{told}: nobody has to log in any more")
    if key in ("oidc.groups", "oidc.admin_groups") and set(new.split(",")) - set(old.split(",")):
        return Step("open", "setting", key, f"{told}: more people may come in, or do everything")
    if key == "bind" and _wider(old, new):
        return Step("open", "setting", key, f"{told}: other machines reach it")
    return Step("change", "setting", key, told)


def _wider(old: str, new: str) -> bool:
    before, after = ip_address(old), ip_address(new)
    if after.is_loopback or before.is_unspecified:
        return False
    return before.is_loopback or after.is_unspecified


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


def service_steps(
    services: Sequence[Service],
    observed: Observed,
    only: Iterable[str] = (),
    *,
    stale: Mapping[str, str] = MappingProxyType({}),
    outdated: Mapping[str, str] = MappingProxyType({}),
) -> list[Step]:
    """The steps from the services that are observed to those that are wanted.

    Args:
        services: All that are wanted.
        observed: What is there.
        only: The steps of these services alone; of all where it is empty.
        stale: Which run with what is no longer so, and why.
        outdated: Which have to read their configuration anew, and why.
    """
    steps = []
    for service in services:
        there = observed.services.get(service.name)
        if there is None:
            steps.append(Step("create", "service", service.name, "it does not exist"))
        elif there.digest != service.digest:
            cause = (
                f"image {there.program} -> {service.program}"
                if there.program != service.program
                else "its definition or a script of it changed"
            )
            steps.append(Step("recreate", "service", service.name, cause))
        elif service.once:
            if not there.settled:
                steps.append(Step("start", "service", service.name, f"it is {there}"))
        elif there.state != "running":
            steps.append(Step("start", "service", service.name, f"it is {there}"))
        elif there.health == "unhealthy":
            steps.append(Step("restart", "service", service.name, "it is unhealthy"))
        elif service.name in stale:
            steps.append(Step("restart", "service", service.name, stale[service.name]))
        elif service.name in outdated:
            steps.append(Step("reload", "service", service.name, outdated[service.name]))
    wanted = {service.name for service in services}
    steps += [
        Step("remove", "service", name, "no longer part of the stack")
        for name in sorted(set(observed.services) - wanted)
    ]
    chosen = set(only)
    return [step for step in steps if not chosen or step.name in chosen]
