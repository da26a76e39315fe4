"""The embedded runtime: every service is a process of this machine, kept by supervisor.

A stack's `bundle/processes/*.toml` say what each service is, its guard starts it from there, and
one supervisord, kept by one keeper, starts the guards. Whoever looks reads the same descriptions.
"""

import contextlib
import os
import pwd
import shutil
import site
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from stackctl.errors import MachineError, NotReady
from stackctl.machine import folder_bytes
from stackctl.observed import Observed, ServiceState
from stackctl.pipe import Pipe, piped
from stackctl.progress import Progress
from stackctl.render import Bundle, Local, Place
from stackctl.runtimes import explanations
from stackctl.runtimes.base import Identity, place_of
from stackctl.runtimes.embedded import components, environments, logfiles, ports, volumes
from stackctl.runtimes.embedded import descriptions as services
from stackctl.runtimes.embedded.supervision import Supervision, Unanswered
from stackctl.scenario import Scenario
from stackctl.secrets import redact
from stackctl.settings import Effective, Settings
from stackctl.stack import Stack
from stackctl.versions import MLFLOW

_DATABASES = ("postgres", "mysql")
_POLL_SECONDS = 0.2
# A log is searched for the cause once a service takes longer than most do.
_PATIENCE_SECONDS = 15.0


class Embedded:
    """Stacks as processes."""

    name = "embedded"
    may_bind_any_port = os.geteuid() == 0

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

    def place(self, stack: Stack, scenario: Scenario, effective: Effective) -> Place:
        """The user's own files, the programs of this machine, and ports that are free.

        Raises:
            MachineError: No port is free, or nobody can run the database.
        """
        database = next((name for name in _DATABASES if name in scenario.services), "")
        user = components.service_user(volumes.of_stack(stack).get(database)) if database else ""
        if database and not user:
            _require_account()
        found, version = components.find_all(), effective.settings.mlflow_version
        own = version != MLFLOW
        if own:
            found = {**found, "mlflow": environments.component(version)}
        local = Local(
            components={
                name: components.for_user(component, user) if user else component
                for name, component in found.items()
            },
            ports=ports.choose(
                stack,
                scenario.services,
                effective.settings.published_ports(),
                running=self._supervision(stack).keeper() is not None,
            ),
            volumes={
                name: str(volumes.folder(stack, effective.settings, name, user))
                for name in scenario.services
                if name in volumes.KEEPERS
            },
            run=str(stack.run),
            bundle=str(stack.bundle),
            path=components.path(),
            user_base=site.getuserbase(),
            service_user=user,
            service_folder=str(volumes.system_folder(stack) / "run"),
            mlflow_path=environments.path(version, components.path()) if own else "",
        )
        return replace(place_of(stack, effective, Identity.of_this_process()), local=local)

    def observe(self, stack: Stack, bundle: Bundle | None = None) -> Observed:
        """The processes as supervisord and their own probes tell, and the volumes' folders."""
        return Observed(
            services={state.name: state for state in self._states(stack)},
            volumes=frozenset(volumes.of_stack(stack)),
            images=_present(bundle) if bundle else frozenset(),
        )

    def refuse_foreign(self, stack: Stack, bundle: Bundle) -> None:
        """No volume's folder holds what is not this stack's, or is of a newer database.

        Raises:
            UserError: Naming the folder.
        """
        for name, folder in services.volumes_of(bundle).items():
            volumes.refuse_foreign(stack, name, folder)

    def obtain_images(self, stack: Stack, bundle: Bundle, progress: Progress) -> None:
        """Install what is to be installed, and copy what another user is to run.

        Raises:
            MachineError: It cannot be had, or not be written.
        """
        for name, description in services.of_bundle(bundle).items():
            if version := description.get("mlflow"):
                environments.make(version, progress)
            if user := description.get("user"):
                original = components.find_all()[name]
                components.copy(original, components.for_user(original, user))

    def start(
        self,
        stack: Stack,
        bundle: Bundle,
        *,
        timeout: float,
        progress: Progress,
        only: Sequence[str] = (),
    ) -> None:
        """Make the stack what its files say, and wait until every service is settled.

        Raises:
            NotReady: Naming the service, its state, its last log lines, and what to do.
        """
        begin = time.monotonic()
        before = {name: note.get("starts", 0) for name, note in services.notes(stack).items()}
        sizes = {path: path.stat().st_size for path in stack.logs.glob("*.log")}
        self._bring_up(stack)
        told: dict[str, str] = {}
        states: dict[str, ServiceState] = {}
        while True:
            ready = frozenset(name for name, state in states.items() if state.health == "healthy")
            states = {state.name: state for state in self._states(stack, ready)}
            for state in states.values():
                if told.get(state.name) != str(state):
                    told[state.name] = str(state)
                    progress(f"{state.name}: {state} ({time.monotonic() - begin:.1f} s)")
            failed = [s.name for s in bundle.services
                      if (not only or s.name in only)
                      and (s.name not in states or not states[s.name].settled)]  # fmt: skip
            if not failed:
                return
            notes = services.notes(stack)
            hopeless = [
                name for name in failed
                if name in states and services.is_hopeless(
                    states[name], notes.get(name, {}).get("starts", 0) - before.get(name, 0)
                )
            ]  # fmt: skip
            waited = time.monotonic() - begin
            if not hopeless and waited > _PATIENCE_SECONDS:
                hopeless = [name for name in failed if self._says_why(stack, name, sizes)]
            if hopeless or waited > timeout:
                raise self._failure(stack, states, hopeless or failed)
            time.sleep(_POLL_SECONDS)

    def restore(self, stack: Stack) -> None:
        """Start what the files say; failures are left to whoever looks next."""
        with contextlib.suppress(MachineError):
            self._bring_up(stack)

    def remove(self, stack: Stack, *, lost: frozenset[str] = frozenset()) -> None:
        """Stop every process, and delete the folders of those volumes that are named.

        Raises:
            MachineError: A process would not end, or a folder cannot be deleted.
        """
        self._stop(stack)
        mine = volumes.of_stack(stack)
        sockets = services.sockets(stack)
        try:
            for path in sockets:
                path.unlink(missing_ok=True)
            for folder in (stack.run, stack.logs, volumes.system_folder(stack) / "run"):
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
        names = [service] if service else sorted(services.descriptions(stack))
        files = {name: stack.logs / f"{name}.log" for name in names}
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
        wanted = services.descriptions(stack)[service]
        # As far from the bundle as the services' own folders are.
        folder = stack.run / f"beside-{service}"
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
        for folder in stack.run.glob("beside-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def stop(self, stack: Stack, names: Sequence[str]) -> None:
        """Stop some services."""
        supervision = self._supervision(stack)
        if supervision.keeper() is not None:
            supervision.stop_processes(list(names))

    def run_only(self, stack: Stack, names: Sequence[str], *, timeout: float) -> None:
        """Have some services run, and none of the others."""
        wanted = services.descriptions(stack)
        others = [name for name in wanted if name not in names]
        supervision = self._supervision(stack)
        if supervision.keeper() is not None:
            supervision.stop_processes(others)
            supervision.update()
        elif names:
            volumes.make_all(stack, wanted)
            supervision.launch()
        else:
            return
        # Those have been started with the rest, and wait for it still.
        supervision.stop_processes(others)
        supervision.start_processes(list(names))
        deadline = time.monotonic() + timeout
        while True:
            states = {state.name: state for state in self._states(stack)}
            failed = [name for name in names if not states[name].settled]
            if not failed:
                return
            if time.monotonic() > deadline:
                raise self._failure(stack, states, failed)
            time.sleep(_POLL_SECONDS)

    def port_owner(self, stack: Stack, port: int) -> str | None:
        """Which stack of this home publishes `port`; "" for this one."""
        for other in stack.home.stacks():
            for state in self._states(other):
                if any(entry.endswith(f":{port}") for entry in state.ports):
                    return "" if other.name == stack.name else f"stack {other.name!r}"
        return None

    def disk_use(self, stack: Stack) -> Mapping[str, int]:
        """Bytes used by each volume's folder."""
        return {name: folder_bytes(path) for name, path in volumes.of_stack(stack).items()}

    def _supervision(self, stack: Stack) -> Supervision:
        return Supervision(stack.run, stack.logs)

    def _says_why(self, stack: Stack, service: str, sizes: Mapping[Path, int]) -> bool:
        """The service's log has told since then what no waiting mends."""
        path = stack.logs / f"{service}.log"
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(min(sizes.get(path, 0), path.stat().st_size))
                return any(explanations.cause(line) for line in file)
        except OSError:
            return False

    def _stop(self, stack: Stack) -> None:
        wanted = services.descriptions(stack)
        self._supervision(stack).stop(*services.waves(wanted, list(wanted)))

    def _bring_up(self, stack: Stack) -> None:
        """Have every process run from the files that are there now."""
        wanted = services.descriptions(stack)
        volumes.make_all(stack, wanted)
        supervision = self._supervision(stack)
        if supervision.keeper() is None:
            supervision.launch()
            return
        try:
            self._replace_what_differs(stack, wanted)
        except Unanswered:
            # It is ending, or hangs: what it left is taken over by a new one.
            self._stop(stack)
            supervision.launch()

    def _replace_what_differs(
        self, stack: Stack, wanted: Mapping[str, services.Description]
    ) -> None:
        supervision = self._supervision(stack)
        supervision.update()
        # Asked to by somebody who was killed; it would look like one that starts.
        ending = {name for name, told in supervision.processes().items()
                  if told["statename"] == "STOPPING"}  # fmt: skip
        stale = {
            state.name for state in self._states(stack)
            if state.name in wanted
            and (state.digest != wanted[state.name]["digest"]
                 or (not state.settled and state.health != "starting"))
        } | ending  # fmt: skip
        in_order = [name for name in wanted if name in stale]
        for wave in services.waves(wanted, in_order):
            supervision.stop_processes(wave)
        supervision.start_processes(in_order)

    def _states(self, stack: Stack, ready: frozenset[str] = frozenset()) -> list[ServiceState]:
        """Every service as it is now; those in `ready` are not asked again whether they are."""
        wanted, notes = services.descriptions(stack), services.notes(stack)
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
            services.state_of(
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


def _present(bundle: Bundle) -> frozenset[str]:
    """What the services of a bundle run, but for what is still to be installed."""
    wanted = services.of_bundle(bundle)
    return frozenset(
        service.image
        for service in bundle.services
        if not (version := wanted[service.name].get("mlflow"))
        or environments.folder(version).exists()
    )


def _require_account() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise MachineError(
            f"user {os.geteuid()} has no account, which databases ask for",
            hint="act as a user with an entry in /etc/passwd, or use --runtime docker",
        ) from None
