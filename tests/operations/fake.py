"""A runtime whose services are entries in a table, and what else of a stack would need a service.

`in_place` puts it where stackctl looks for runtimes, stores and the proof by use.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any

import pytest
import yaml

from stackctl.deployment import Deployment
from stackctl.errors import MachineError, NotReady, UserError
from stackctl.fitness import Finding
from stackctl.observed import Observed, ServiceState
from stackctl.operations import login
from stackctl.pipe import Pipe
from stackctl.plan import Step
from stackctl.progress import Progress
from stackctl.proof import readiness
from stackctl.proof.roundtrip import Address, RoundTripError
from stackctl.render import Bundle, ComposeRendering, Host, Service
from stackctl.runtimes import choice
from stackctl.runtimes.base import Identity, Inside, Obstacle, host_of
from stackctl.scenario import Scenario
from stackctl.secrets import SecretFolder, placeholders
from stackctl.settings import Effective, Settings
from stackctl.stack import Manifest, Stack
from stackctl.stores import ARTIFACTS, BACKENDS
from tests.operations.machine import Machine, mark
from tests.operations.memory import MemoryArtifacts, MemoryBackend, MemoryCourier


@dataclass(frozen=True)
class KeepingHost(Host):
    """A machine that keeps what services store in the data folder, and something of its own."""

    @property
    def volumes_in_data(self) -> bool:
        return True

    @property
    def kept(self) -> Mapping[str, Any]:
        return {"ports": {"postgres": 10240}}


class OnceRendered(ComposeRendering):
    """Rendering has no state: what was rendered before is the same now."""

    def bundle(self) -> Bundle:
        key = (self.scenario.model_dump_json(), self.settings.model_dump_json(), self.host)
        if key not in _BUNDLES:
            _BUNDLES[key] = super().bundle()
        return _BUNDLES[key]


_BUNDLES: dict[tuple[str, str, Host], Bundle] = {}


class FakeRuntime:
    """Where the services of these tests run: the files are those of Docker's.

    Attributes:
        machine: The machine.
        host_kind: Of what kind it is.
        lacks: Why it cannot be used; "" where it can.
    """

    name = "docker"
    rendering = OnceRendered

    def fitness(self) -> Iterator[Finding]:
        """Fit it is."""
        yield Finding("Docker daemon", "ok", "imagined")

    def __init__(self, machine: Machine) -> None:
        self.machine, self.host_kind, self.lacks = machine, Host, ""

    def check(self) -> None:
        if self.lacks:
            raise MachineError(self.lacks)

    def host(self, stack: Stack, scenario: Scenario, effective: Effective) -> Host:
        return self.host_kind(**vars(host_of(stack, effective, Identity.of_this_process())))

    def observe(self, stack: Stack, bundle: Bundle | None = None) -> Observed:
        world, own = self.machine.world, mark(stack)
        named = {program.name for program in bundle.programs} if bundle else set()
        return Observed(
            dict(world.services.get(own, {})),
            frozenset(world.volumes.get(own, ())),
            frozenset(world.networks.get(own, ())),
            frozenset(named & world.programs),
        )

    def described(self, stack: Stack) -> tuple[Service, ...]:
        return tuple(
            Service(name, entry["image"], entry["labels"]["io.stackctl.digest"], {},
                    entry["restart"] == "no")
            for name, entry in _compose(stack).get("services", {}).items()
        )  # fmt: skip

    def refuse_foreign(self, stack: Stack, bundle: Bundle) -> None:
        world, own = self.machine.world, mark(stack)
        for another, name in world.projects.items():
            if another != own and name == stack.name and world.services.get(another):
                raise UserError(f"{bundle.project} belongs to another home")

    def obstacle(self, stack: Stack, address: str, port: int) -> Obstacle | None:
        world, own = self.machine.world, mark(stack)
        for another, services in world.services.items():
            for state in services.values():
                if another != own and f"{address}:{port}" in state.ports:
                    return Obstacle("taken", f"stack {world.projects[another]!r}")
        return world.taken.get(port)

    def obtain(self, stack: Stack, bundle: Bundle, progress: Progress) -> None:
        for program in bundle.programs:
            if program.name not in self.machine.world.programs:
                self.machine.happens(f"{program.action} {program.name}")
                self.machine.world.programs.add(program.name)

    def apply(
        self,
        stack: Stack,
        services: Sequence[Service],
        steps: Sequence[Step],
        *,
        timeout: float | None,
        progress: Progress,
    ) -> None:
        there = self._there(stack)
        for step in steps:
            self.machine.happens(f"{step.action} {step.name}")
            if step.action == "reload":
                continue
            there.pop(step.name, None)
            if step.action != "remove":
                there[step.name] = self._started(stack, step.name)
        if timeout is None:
            return
        for name, state in there.items():
            if state.health == "starting":
                there[name] = replace(state, health="healthy")
        if failed := self.observe(stack).unsettled(service.name for service in services):
            found = there.get(failed[0], "not there")
            raise NotReady(f"service {failed[0]} is {found}", hint="see its logs")

    def stop(self, stack: Stack, names: Sequence[str]) -> None:
        there = self._there(stack)
        for name in names:
            self.machine.happens(f"stop {name}")
            if name in there:
                there[name] = replace(there[name], state="exited", health="", exit_code=0)

    def remove(self, stack: Stack, *, lost: frozenset[str] = frozenset()) -> None:
        self.machine.happens(f"remove services{', losing ' * bool(lost)}{', '.join(sorted(lost))}")
        self._there(stack).clear()
        self.machine.world.networks.pop(mark(stack), None)
        for volume in lost & self.machine.world.volumes.get(mark(stack), set()):
            self.machine.lose(stack, volume)

    def logs(self, stack: Stack, service: str | None, *, follow: bool, tail: int) -> Iterator[str]:
        for state in self.observe(stack).services.values():
            if service in (None, state.name):
                yield f"{state.name} | {state}"

    def inside(self, stack: Stack, scenario: Scenario, settings: Settings) -> Inside | None:
        return None

    def within(self, stack: Stack, service: str, script: str) -> AbstractContextManager[Pipe]:
        assert service == "mysql", "no store in memory is reached by another script"

        def answer(told: bytes) -> bytes:
            password, new, _ = told.decode().split("\n")
            known = self.machine.database(stack).passwords
            opens = known["mysql_root_password"] == password
            if opens and new:
                self.machine.happens("password of root")
                known["mysql_root_password"] = new
            return b"yes" if opens else b"no"

        return _piped(answer)

    def beside(
        self, stack: Stack, service: str, script: str, words: Sequence[str]
    ) -> AbstractContextManager[Pipe]:
        program = next((s.program for s in self.described(stack) if s.name == service), None)
        if program is None:
            raise MachineError(f"a program beside service {service} cannot be started")
        return _piped(MemoryCourier(self.machine, stack, program).answer)

    def sweep(self, stack: Stack) -> None:
        self.machine.asked("sweep")

    def disk_use(self, stack: Stack) -> Mapping[str, int]:
        self.machine.asked("disk use")
        return dict.fromkeys(self.machine.world.volumes.get(mark(stack), ()), 4096)

    def _there(self, stack: Stack) -> dict[str, ServiceState]:
        own = mark(stack)
        self.machine.world.projects[own] = stack.name
        return self.machine.world.services.setdefault(own, {})

    def _started(self, stack: Stack, name: str) -> ServiceState:
        found, world, own = _compose(stack), self.machine.world, mark(stack)
        world.volumes.setdefault(own, set()).update(found.get("volumes") or ())
        world.networks.setdefault(own, set()).update(found.get("networks") or ())
        (service,) = (one for one in self.described(stack) if one.name == name)
        assert service.program in world.programs, f"{service.program} was not obtained"
        ports = tuple(p.rpartition(":")[0] for p in found["services"][name].get("ports", ()))
        well = self.machine.begins(stack, service)
        state = ServiceState(
            name, "running", "healthy" if well else "unhealthy",
            digest=service.digest, program=service.program, ports=ports, once=service.once,
        )  # fmt: skip
        if service.once:
            return replace(state, state="exited", health="", exit_code=0 if well else 1)
        return state


class FakeProof:
    """The round trip, and the question for the server's version."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def prove(self, deployment: Deployment, progress: Progress, timeout: float = 60) -> None:
        """Every service does what it is for, and every server can use its stores."""
        stack, runtime = deployment.stack, deployment.runtime
        self._machine.asked("prove")
        observed = runtime.observe(stack)
        if failed := observed.unsettled(service.name for service in runtime.described(stack)):
            raise NotReady(f"the stack runs but cannot be used: {failed[0]} is not settled")
        for server in deployment.scenario.servers:
            program = observed.services[server].program
            if refusal := self._machine.refusal(stack, server, program):
                raise NotReady(f"the stack runs but cannot be used: {refusal}")
        progress("checked by use")

    def server_version(self, deployment: Deployment) -> str:
        """Of the release that runs."""
        observed = deployment.runtime.observe(deployment.stack)
        found = observed.services.get(deployment.scenario.server)
        if self._machine.says is not None or found is None:
            return self._machine.says or ""
        return self._machine.release(found.program)


class MemoryPipe(Pipe):
    """A process that reads all of its input, and then writes."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.stdin = given = _Kept()
        self.stdout = _Answer(lambda: answer(given.getvalue()))


class _Kept(io.BytesIO):
    def close(self) -> None:
        """What was written stays."""


class _Answer(io.BytesIO):
    """What is not made before somebody reads it; nothing where that fails."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        super().__init__()
        self._make: Callable[[], bytes] | None = make
        self.failed: MachineError | None = None

    def read(self, size: int | None = -1) -> bytes:
        if self._make is not None:
            make, self._make = self._make, None
            try:
                self.write(make())
            except MachineError as error:
                self.failed = error
            self.seek(0)
        return super().read(size)


@contextmanager
def _piped(answer: Callable[[bytes], bytes]) -> Iterator[Pipe]:
    pipe = MemoryPipe(answer)
    yield pipe
    pipe.stdout.read()
    if isinstance(pipe.stdout, _Answer) and pipe.stdout.failed is not None:
        raise pipe.stdout.failed


def _compose(stack: Stack) -> dict[str, Any]:
    path = stack.bundle / "compose.yaml"
    return _parsed(path.read_text(encoding="utf-8")) if path.is_file() else {}


@cache
def _parsed(text: str) -> dict[str, Any]:
    return dict(yaml.load(text, yaml.CSafeLoader))


def in_place(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    """Put all of it where stackctl looks, and have the machine told of what is kept on the disk."""
    runtime = FakeRuntime(machine)
    monkeypatch.setattr(choice, "_RUNTIMES", {"docker": lambda: runtime})
    monkeypatch.setattr(choice, "_automatic", lambda: choice.Choice(runtime, "it is the only one"))
    for kind, backend in BACKENDS.items():
        monkeypatch.setitem(BACKENDS, kind, MemoryBackend(machine, backend))
    for kind, artifacts in ARTIFACTS.items():
        monkeypatch.setitem(ARTIFACTS, kind, MemoryArtifacts(machine, artifacts))
    proof = FakeProof(machine)
    monkeypatch.setattr(readiness, "prove", proof.prove)
    monkeypatch.setattr(readiness, "server_version", proof.server_version)
    monkeypatch.setattr(login, "RoundTrip", _trip(machine))
    _watch(machine, monkeypatch)
    # Nobody cuts the power, and stackctl's own files stay as they are.
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("stackctl.secrets.folder.placeholders", cache(placeholders))
    return runtime


def _trip(machine: Machine) -> Callable[..., Any]:
    """What asks a server whether it lets a password in."""

    class Trip:
        def __init__(self, address: Address, *, secret: Callable[[str], str], login: bool) -> None:
            self._address, self._password = address, secret("admin_password")

        def request(self, *_: object) -> bytes:
            machine.asked("log in")
            at = self._address.url.removeprefix("http://")
            for own, services in machine.world.services.items():
                if any(at in state.ports and state.settled for state in services.values()):
                    stack = machine.home.stack(machine.world.projects[own])
                    if machine.database(stack).passwords["admin_password"] == self._password:
                        return b"{}"
                    raise RoundTripError(f"{at}: 401 Unauthorized", 401)
            raise RoundTripError(f"{at}: connection refused with {self._password}")

    return Trip


def _watch(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every change of the stack's record, its files and its secrets is a part of the story."""

    def watched(owner: Any, name: str, told: Callable[..., str]) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            machine.happens(told(*args, **kwargs))
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    def saved(_: Stack, manifest: Manifest) -> str:
        return f"status {manifest.status}"

    watched(Stack, "save", saved)
    watched(Stack, "forget", lambda _: "forget")
    watched(SecretFolder, "_write", lambda _, name, _value: f"write secret {name}")
    watched(SecretFolder, "rename", lambda _, name, new: f"secret {name} becomes {new}")
    watched(SecretFolder, "forget", lambda _, name: f"forget secret {name}")
    watched(SecretFolder, "delete", lambda _, **_more: "delete secrets")
    bundle = import_module("stackctl.stack.bundle")
    watched(bundle, "write_files", lambda folder, _files: f"write {folder.name}")
