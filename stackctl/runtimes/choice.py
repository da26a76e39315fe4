"""Which runtime a stack is on, or will be, and why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stackctl.errors import MachineError, UserError
from stackctl.runtimes.base import Runtime
from stackctl.runtimes.docker.runtime import Docker
from stackctl.runtimes.embedded.runtime import Embedded
from stackctl.scenario import Scenario
from stackctl.settings import Effective
from stackctl.stack import Manifest, Stack

_RUNTIMES: Mapping[str, Callable[[], Runtime]] = {kind.name: kind for kind in (Docker, Embedded)}


@dataclass(frozen=True)
class Choice:
    """A runtime, and why it is that one."""

    runtime: Runtime
    why: str

    def __str__(self) -> str:
        return f"runtime {self.runtime.name}: {self.why}"


def every() -> list[Runtime]:
    """Each runtime that there is, in the order in which `auto` prefers them."""
    return [kind() for kind in _RUNTIMES.values()]


def runtime_of(manifest: Manifest) -> Runtime:
    """Where a stack was deployed.

    Raises:
        UserError: On a runtime that this version does not have.
    """
    kind = _RUNTIMES.get(manifest.runtime)
    if kind is None:
        raise UserError(
            f"stack {manifest.name!r} is on runtime {manifest.runtime!r}, which this stackctl "
            "does not have",
            hint="use the version that deployed it",
        )
    return kind()


def choose(stack: Stack, scenario: Scenario, effective: Effective) -> Choice:
    """Where a deploy of the stack happens.

    With `auto` a stack stays where it is; a new one goes to Docker where a daemon answers, else to
    the embedded runtime.

    Raises:
        UserError: The stack's data is on another runtime than the one that is asked for.
        MachineError: The runtime cannot be used here.
    """
    wanted = effective.settings.runtime
    manifest = stack.manifest()
    if manifest is not None and wanted in ("auto", manifest.runtime):
        choice = Choice(runtime_of(manifest), "the stack was deployed there")
    elif manifest is not None and not _may_change(manifest, scenario):
        raise _refused(stack, manifest, scenario, effective)
    elif wanted == "auto":
        choice = _automatic()
    else:
        source = effective.sources.get("runtime", "default")
        choice = Choice(_RUNTIMES[wanted](), f"chosen by {source}")
    choice.runtime.check()
    return choice


def for_files(wanted: str) -> Runtime:
    """The runtime for files that are only looked at or taken elsewhere; asks no daemon.

    Args:
        wanted: As the setting `runtime`.
    """
    return Embedded() if wanted == "embedded" else Docker(asks=False)


def _automatic() -> Choice:
    docker = Docker()
    try:
        _ = docker.client
    except MachineError as error:
        embedded = Embedded()
        try:
            embedded.check()
        except MachineError as missing:
            raise MachineError(
                f"{error.message}, and {missing.message}", hint=f"{missing.hint}; or {error.hint}"
            ) from missing
        return Choice(embedded, error.message)
    return Choice(docker, f"a Docker daemon answers at {docker.endpoint}")


def _may_change(manifest: Manifest, scenario: Scenario) -> bool:
    """Nothing runs, and all data is in a folder that every runtime uses alike."""
    return _is_local(scenario) and manifest.status == "removed"


def _is_local(scenario: Scenario) -> bool:
    return scenario.backend_kind.local and scenario.artifact_kind.local


def _refused(
    stack: Stack, manifest: Manifest, scenario: Scenario, effective: Effective
) -> UserError:
    settings, source = effective.settings, effective.sources.get("runtime", "default")
    if _is_local(scenario):
        return UserError(
            f"stack {stack.name!r} is on runtime {manifest.runtime}, not on {settings.runtime} "
            f"(from {source})",
            hint=f"to take it there, first run: stackctl remove {stack.name}; its data stay",
        )
    return UserError(
        f"stack {stack.name!r} is on runtime {manifest.runtime}, and its data would not be found "
        f"on {settings.runtime} (from {source})",
        hint=f"deploy with --runtime {manifest.runtime}, or as another stack with --name",
    )
