"""The embedded runtime: every service is a process of this machine, kept by supervisor.

A stack's `bundle/processes/*.toml` say what each service is, its guard starts it from there, and
one supervisord, kept by one keeper, starts the guards. Whoever looks reads the same descriptions.
"""

import errno
import os
import pwd
import shutil
import signal
import site
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackctl.errors import MachineError, NotReady
from stackctl.fitness import Finding
from stackctl.machine import folder_bytes, listen_failure, listener
from stackctl.observed import Observed, ServiceState
from stackctl.pace import Patience
from stackctl.pipe import Pipe, piped
from stackctl.plan import Step
from stackctl.progress import Progress
from stackctl.render import Bundle, ProcessHost, ProcessRendering, Service
from stackctl.runtimes import explanations
from stackctl.runtimes.base import Identity, Obstacle, host_of
from stackctl.runtimes.embedded import (
    components,
    descriptions,
    environments,
    folders,
    logfiles,
    ports,
    volumes,
)
from stackctl.runtimes.embedded.supervision import Supervision, Unanswered
from stackctl.scenario import Scenario
from stackctl.secrets import redact
from stackctl.services import SERVICES
from stackctl.settings import Effective, Settings
from stackctl.stack import Stack
from stackctl.versions import MLFLOW

_POLL_SECONDS = 0.2
# A log is searched for the cause once a service takes longer than most do.
_PATIENCE_SECONDS = 15.0


class Embedded:
    """Stacks as processes."""

    name = "embedded"
    rendering = ProcessRendering

    def check(self) -> None:
        """This machine can run processes as this runtime does.

        Raises:
            MachineError: It cannot.
        """
        if sys.platform != "linux":
            raise MachineError(
                f"the embedded runtime needs Linux, and this is {sys.platform}",
                hint="start Docker, and use --runtime docker",
            )
        if shutil.which("bash") is None:
            raise MachineError("the embedded runtime needs bash", hint="install the package bash")
        mlflow = components.find_all()["mlflow"]
        if mlflow.missing:
            raise MachineError(mlflow.missing, hint=mlflow.mend)

    def fitness(self) -> Iterator[Finding]:
        """Whether it can be used, and which components this machine has for it."""
        try:
            self.check()
        except MachineError as error:
            yield Finding("embedded runtime", "problem", error.message, error.hint)
            return
        there = [one.label for one in components.find_all().values() if not one.missing]
        yield Finding("embedded runtime", "ok", ", ".join(there))

    def host(self, stack: Stack, scenario: Scenario, effective: Effective) -> ProcessHost:
        """The user's own files, the programs of this machine, and ports that are free.

        Raises:
            MachineError: No port is free, or nobody can run the database.
        """
        services = effective.settings.services(scenario.services)
        demanding = next((name for name in services if SERVICES[name].refuses_root), "")
        kept = volumes.of_stack(stack).get(demanding)
        user = components.service_user(kept) if demanding else ""
        if demanding and not user:
            _require_account()
        found, release = components.find_all(), effective.settings.release
        own = release != MLFLOW
        if own:
            found = {**found, "mlflow": environments.component(release)}
        return ProcessHost(
            **vars(host_of(stack, effective, Identity.of_this_process())),
            components={
                name: components.for_user(component, user) if user else component
                for name, component in found.items()
            },
            ports=ports.choose(
                stack,
                services,
                effective.settings.published_ports(),
                running=self._supervision(stack).keeper() is not None,
                proxied=effective.settings.ends_tls,
            ),
            volumes={
                name: str(volumes.folder(stack, effective.settings, name, user))
                for name in services
                if SERVICES[name].keeps_data
            },
            run=str(folders.run(stack)),
            bundle=str(stack.bundle),
            path=components.path(),
            user_base=site.getuserbase(),
            service_user=user,
            service_folder=str(volumes.system_folder(stack) / "run"),
            mlflow_path=environments.path(release, components.path()) if own else "",
        )

    def observe(self, stack: Stack, bundle: Bundle | None = None) -> Observed:
        """The processes as supervisord and their own probes tell, and the volumes' folders."""
        return Observed(
            services={state.name: state for state in self._states(stack)},
            volumes=frozenset(volumes.of_stack(stack)),
            programs=_present(bundle) if bundle else frozenset(),
        )

    def described(self, stack: Stack) -> tuple[Service, ...]:
        """As the files in `processes/` say."""
        return descriptions.services(stack)

    def refuse_foreign(self, stack: Stack, bundle: Bundle) -> None:
        """No volume's folder holds what is not this stack's, or is of a newer database.

        Raises:
            UserError: Naming the folder.
        """
        for name, folder in descriptions.volumes_of(bundle).items():
            volumes.refuse_foreign(stack, name, folder)

    def obtain(self, stack: Stack, bundle: Bundle, progress: Progress) -> None:
        """Install what is to be installed, and copy what another user is to run.

        Raises:
            MachineError: It cannot be had, or not be written.
        """
        for name, description in descriptions.of_bundle(bundle).items():
            if release := description.get("mlflow"):
                environments.make(release, progress)
            if user := description.get("user"):
                original = components.find_all()[name]
                components.copy(original, components.for_user(original, user))

    def apply(
        self,
        stack: Stack,
        services: Sequence[Service],
        steps: Sequence[Step],
        *,
        timeout: float | None,
        progress: Progress,
    ) -> None:
        """Carry out the steps, and wait until every one of the services is settled.

        Raises:
            NotReady: Naming the service, its state, its last log lines, and what to do.
        """
        started = _Started(
            {name: note.get("starts", 0) for name, note in descriptions.notes(stack).items()},
            {path: path.stat().st_size for path in folders.logs(stack).glob("*.log")},
        )
        waited_for = [service.name for service in services]
        self._carry_out(stack, steps, waited_for)
        if timeout is not None:
            self._wait(stack, waited_for, started, timeout, progress)
        self._reload(stack, [step.name for step in steps if step.action == "reload"])

    def _reload(self, stack: Stack, names: Sequence[str]) -> None:
        """Tell those that run, and no other process that has one's number by now."""
        import psutil

        notes = descriptions.notes(stack)
        guards = self._supervision(stack).processes() if names else {}
        for name in names:
            with suppress(psutil.NoSuchProcess, KeyError):
                process = psutil.Process(notes[name]["pid"])
                if process.ppid() == guards[name]["pid"]:
                    process.send_signal(signal.Signals[SERVICES[name].reload_signal])

    def _wait(
        self,
        stack: Stack,
        names: Sequence[str],
        started: "_Started",
        timeout: float,
        progress: Progress,
    ) -> None:
        begin = time.monotonic()
        patience = Patience(timeout)
        told: dict[str, str] = {}
        states: dict[str, ServiceState] = {}
        while True:
            ready = frozenset(name for name, state in states.items() if state.health == "healthy")
            states = {state.name: state for state in self._states(stack, ready)}
            for state in states.values():
                if told.get(state.name) != str(state):
                    told[state.name] = str(state)
                    progress(f"{state.name}: {state} ({time.monotonic() - begin:.1f} s)")
            failed = Observed(states).unsettled(names)
            if not failed:
                return
            hopeless = self._hopeless(stack, failed, states, started, patience)
            if hopeless or patience.is_over():
                raise self._failure(stack, states, hopeless or failed)
            time.sleep(_POLL_SECONDS)

    def _hopeless(
        self,
        stack: Stack,
        failed: Sequence[str],
        states: Mapping[str, ServiceState],
        started: "_Started",
        patience: Patience,
    ) -> list[str]:
        """Those of the services that no waiting mends."""
        notes = descriptions.notes(stack)
        found = [
            name for name in failed
            if name in states and descriptions.is_hopeless(
                states[name], notes.get(name, {}).get("starts", 0) - started.starts.get(name, 0)
            )
        ]  # fmt: skip
        if not found and patience.spent > _PATIENCE_SECONDS:
            return [name for name in failed if self._says_why(stack, name, started.sizes)]
        return found

    def remove(self, stack: Stack, *, lost: frozenset[str] = frozenset()) -> None:
        """Stop every process, and delete the folders of those volumes that are named.

        Raises:
            MachineError: A process would not end, or a folder cannot be deleted.
        """
        self._stop(stack)
        mine = volumes.of_stack(stack)
        sockets = descriptions.sockets(stack)
        try:
            for path in sockets:
                path.unlink(missing_ok=True)
            away = (folders.run(stack), folders.logs(stack), volumes.system_folder(stack) / "run")
            for folder in away:
                if folder.exists():
                    shutil.rmtree(folder)
            for name in sorted(lost & set(mine)):
                shutil.rmtree(mine[name])
            volumes.forget_system_folder(stack)
        except OSError as error:
            raise MachineError(
                f"{error.filename} could not be deleted: {error.strerror}",
                hint="mend that, and run the same command again",
            ) from error

    def logs(self, stack: Stack, service: str | None, *, follow: bool, tail: int) -> Iterator[str]:
        """Lines of the logs, without secrets."""
        values = stack.secrets.values()
        names = [service] if service else sorted(descriptions.descriptions(stack))
        files = {name: folders.logs(stack) / f"{name}.log" for name in names}
        for name, line in logfiles.lines(files, follow=follow, tail=tail):
            yield redact(line if service else f"{name} | {line}", values)

    def inside(self, stack: Stack, scenario: Scenario, settings: Settings) -> None:
        """Services reach each other on loopback, as clients of this machine do."""
        return

    def within(self, stack: Stack, service: str, script: str) -> AbstractContextManager[Pipe]:
        """A process of this machine, as everything here is."""
        return self.beside(stack, service, script, [])

    def beside(
        self, stack: Stack, service: str, script: str, words: Sequence[str]
    ) -> AbstractContextManager[Pipe]:
        """A process with the environment of the service's own."""
        wanted = descriptions.descriptions(stack)[service]
        # As far from the bundle as the services' own folders are.
        folder = folders.run(stack) / f"beside-{service}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = {"HOME": str(folder), "TMPDIR": str(folder)}
        return piped(
            ["bash", "-c", script, "bash", *words],
            what=f"a program beside service {service}",
            environment=own | wanted["environment"] | wanted.get("secrets", {}),
            secrets=stack.secrets.values(),
            folder=folder,
        )

    def sweep(self, stack: Stack) -> None:
        """Empty the folders of programs that were killed; they ended with their stackctl."""
        for folder in folders.run(stack).glob("beside-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def stop(self, stack: Stack, names: Sequence[str]) -> None:
        """Stop some descriptions."""
        supervision = self._supervision(stack)
        if supervision.keeper() is not None:
            supervision.stop_processes(list(names))

    def obstacle(self, stack: Stack, address: str, port: int) -> Obstacle | None:
        """As the kernel says; a stack of this home is known by name."""
        failure = listen_failure(address, port)
        if failure is None:
            return None
        if failure == errno.EADDRNOTAVAIL:
            return Obstacle("address")
        if failure == errno.EACCES:
            return Obstacle("privilege")
        for other in stack.home.stacks():
            for state in self._states(other):
                if any(entry.endswith(f":{port}") for entry in state.ports):
                    own = other.name == stack.name
                    return None if own else Obstacle("taken", f"stack {other.name!r}")
        return Obstacle("taken", listener(port))

    def disk_use(self, stack: Stack) -> Mapping[str, int]:
        """Bytes used by each volume's folder."""
        return {name: folder_bytes(path) for name, path in volumes.of_stack(stack).items()}

    def _supervision(self, stack: Stack) -> Supervision:
        return Supervision(folders.run(stack), folders.logs(stack))

    def _says_why(self, stack: Stack, service: str, sizes: Mapping[Path, int]) -> bool:
        """The service's log has told since then what no waiting mends."""
        path = folders.logs(stack) / f"{service}.log"
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(min(sizes.get(path, 0), path.stat().st_size))
                return any(explanations.cause(line) for line in file)
        except OSError:
            return False

    def _stop(self, stack: Stack) -> None:
        wanted = descriptions.descriptions(stack)
        self._supervision(stack).stop(*descriptions.waves(wanted, list(wanted)))

    def _carry_out(self, stack: Stack, steps: Sequence[Step], names: Sequence[str]) -> None:
        """Do what the steps say, by the files that are there now."""
        wanted = descriptions.descriptions(stack)
        touched = {step.name for step in steps if step.action != "reload"}
        supervision = self._supervision(stack)
        runs = supervision.keeper() is not None
        if runs and touched and touched.issuperset(wanted):
            # Keeper and supervisord anew, too: they may be of a Python that is no longer there.
            self._stop(stack)
            runs = False
        if not runs:
            volumes.make_all(stack, wanted)
            supervision.launch()
            # That starts every service; those that nobody asked for wait for the others still.
            supervision.stop_processes([name for name in wanted if name not in names])
            return
        if not touched:
            return
        volumes.make_all(stack, wanted)
        begun = [name for name in wanted if name in touched]
        gone = [name for name in touched if name not in wanted]
        try:
            there = supervision.processes()
            ending = [name for name in [*begun, *gone] if name in there]
            for wave in descriptions.waves(wanted, ending):
                supervision.stop_processes(wave)
            supervision.update()
            supervision.start_processes(begun)
        except Unanswered:
            # It is ending, or hangs: what it left is taken over by a new one.
            self._stop(stack)
            supervision.launch()

    def _states(self, stack: Stack, ready: frozenset[str] = frozenset()) -> list[ServiceState]:
        """Every service as it is now; those in `ready` are not asked again whether they are."""
        wanted, notes = descriptions.descriptions(stack), descriptions.notes(stack)
        supervision = self._supervision(stack)
        processes: dict[str, dict[str, Any]] = {}
        if supervision.keeper() is not None:
            try:
                processes = supervision.processes()
            except Unanswered:
                # It is ending, or is being started again: its services still have their ports.
                ending = {"statename": "STOPPING", "now": 0, "start": 0}
                processes = {name: dict(ending) for name in wanted}
        elif not notes:
            return []
        return [
            descriptions.state_of(
                name, description, processes.get(name), notes.get(name, {}), name in ready
            )
            for name, description in wanted.items()
        ]

    def _failure(
        self, stack: Stack, states: Mapping[str, ServiceState], failed: list[str]
    ) -> NotReady:
        name = explanations.culprit(failed, states) or failed[0]
        lines = list(self.logs(stack, name, follow=False, tail=explanations.LOG_LINES))
        return explanations.not_ready(name, states.get(name), lines)


@dataclass(frozen=True)
class _Started:
    """How often each service had been started before, and how long each log was."""

    starts: Mapping[str, int]
    sizes: Mapping[Path, int]


def _present(bundle: Bundle) -> frozenset[str]:
    """What the services of a bundle run, but for what is still to be installed."""
    wanted = descriptions.of_bundle(bundle)
    return frozenset(
        service.program
        for service in bundle.services
        if not (release := wanted[service.name].get("mlflow"))
        or environments.folder(release).exists()
    )


def _require_account() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise MachineError(
            f"user {os.geteuid()} has no account, which databases ask for",
            hint="act as a user with an entry in /etc/passwd, or use --runtime docker",
        ) from None
