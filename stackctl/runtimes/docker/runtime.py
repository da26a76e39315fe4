"""The docker runtime: Compose starts and stops, the SDK looks.

Only this module starts Compose's processes and talks to the daemon.
"""

import contextlib
import errno
import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import yaml

from stackctl.addresses import Addresses, Way, by_name
from stackctl.errors import MachineError, NotReady, UserError
from stackctl.fitness import Finding
from stackctl.machine import listen_failure, listener
from stackctl.observed import Observed, ServiceState, State
from stackctl.pace import Patience
from stackctl.pipe import Pipe, piped
from stackctl.plan import Step
from stackctl.progress import Progress
from stackctl.render import Bundle, ComposeRendering, Host, Service, project_name
from stackctl.runtimes import explanations
from stackctl.runtimes.base import Identity, Inside, Obstacle, host_of
from stackctl.runtimes.docker import compose as compose_commands
from stackctl.runtimes.docker import fitness
from stackctl.runtimes.docker.compose import Compose
from stackctl.runtimes.docker.locality import refuse_remote, refuse_ssh
from stackctl.scenario import Scenario
from stackctl.secrets import redact
from stackctl.services import SERVICES
from stackctl.settings import Effective, Settings
from stackctl.stack import Stack, write_files

if TYPE_CHECKING:
    import docker
    from docker.context import Context

P = ParamSpec("P")
T = TypeVar("T")
_API_SECONDS = 60
_GRACE_SECONDS = 5
_POLL_SECONDS = 0.25
_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_OWNER = "io.stackctl.owner"
_DIGEST = "io.stackctl.digest"
# What the daemon says -> what `ServiceState` says, where that is another word.
_STATES: dict[str, State] = {"removing": "stopping"}


def _told(method: Callable[P, T]) -> Callable[P, T]:
    """A daemon that fails while it is asked is the machine's fault, not a bug."""

    @wraps(method)
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            return method(*args, **kwargs)
        except (DockerException, RequestException) as error:
            raise MachineError(
                f"the Docker daemon failed: {error}", hint="see: stackctl doctor"
            ) from error

    return asked


class Docker:
    """Stacks as Compose projects on a Docker daemon.

    Args:
        asks: A daemon may be asked for what the files depend on.
    """

    name = "docker"
    rendering = ComposeRendering

    def __init__(self, *, asks: bool = True) -> None:
        self._asks = asks

    @cached_property
    def context(self) -> "Context | None":
        """The Docker context that applies; None where `$DOCKER_HOST` names the daemon."""
        if os.environ.get("DOCKER_HOST"):
            return None
        from docker.context import ContextAPI

        name = os.environ.get("DOCKER_CONTEXT")
        found = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
        if found is None:
            raise MachineError(
                f"there is no Docker context {name or 'as the configuration names'}",
                hint="see: docker context ls",
            )
        return found

    @cached_property
    def endpoint(self) -> str:
        """The daemon's address."""
        if self.context is None:
            return os.environ["DOCKER_HOST"]
        return self.context.Host or "unix:///var/run/docker.sock"

    @property
    def client(self) -> "docker.DockerClient":
        """A connection to the daemon.

        Raises:
            MachineError: None answers, or this user may not talk to it.
            UserError: It is on another machine.
        """
        return self._connected[0]

    @cached_property
    def _connected(self) -> "tuple[docker.DockerClient, Mapping[str, Any]]":
        """A connection, and what the daemon told of itself then."""
        import docker
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        refuse_ssh(self.endpoint)
        try:
            if self.context is None:
                made = docker.from_env(timeout=_API_SECONDS)
            else:
                tls = self.context.TLSConfig or False
                made = docker.DockerClient(base_url=self.endpoint, tls=tls, timeout=_API_SECONDS)
            info = dict(made.info())
        except (DockerException, RequestException, ValueError) as error:
            raise explanations.unreachable(self.endpoint, error) from error
        refuse_remote(self.endpoint, info)
        return made, info

    @cached_property
    def compose(self) -> Compose:
        """The Compose that is used."""
        return compose_commands.find()

    def check(self) -> None:
        """Daemon and Compose are there.

        Raises:
            MachineError: Saying which is not, and why.
        """
        _ = self.client, self.compose

    @_told
    def info(self) -> dict[str, Any]:
        """What the daemon tells of itself now."""
        return dict(self.client.info())

    def fitness(self) -> Iterator[Finding]:
        """The daemon and what it has."""
        return fitness.look(self)

    def host(self, stack: Stack, scenario: Scenario, effective: Effective) -> Host:
        """The user's own files, and as whom containers act to be this user on the machine.

        A rootless daemon maps the root of a container to the user who runs the daemon.
        """
        me = Identity.of_this_process()
        if not self._asks:
            return host_of(stack, effective, me)
        info, compose = self._connected[1], ""
        rootless = any("rootless" in option for option in info.get("SecurityOptions") or [])
        with contextlib.suppress(MachineError):  # what needs Compose says so itself
            compose = self.compose.version
        return replace(
            host_of(stack, effective, Identity(0, 0, me.user) if rootless else me),
            checks_often_at_start=compose_commands.checks_often(
                info.get("ServerVersion", ""), compose
            ),
            no_proxy=compose_commands.no_proxy(self.endpoint),
        )

    @_told
    def observe(self, stack: Stack, bundle: Bundle | None = None) -> Observed:
        """The stack's containers, volumes and networks, and which of the images are there."""
        mine = {"label": [f"{_PROJECT}={project_name(stack.name)}", f"{_OWNER}={stack.owner}"]}
        api = self.client.api
        services: dict[str, ServiceState] = {}
        for container in api.containers(all=True, filters=mine):
            labels = container["Labels"]
            if labels.get("com.docker.compose.oneoff") == "True":
                continue
            with contextlib.suppress(LookupError):
                services[labels[_SERVICE]] = self._state(container["Id"], labels)
        prefix = f"{project_name(stack.name)}_"
        volumes = api.volumes(filters=mine).get("Volumes") or []
        return Observed(
            services=services,
            volumes=frozenset(v["Name"].removeprefix(prefix) for v in volumes),
            networks=frozenset(n["Name"].removeprefix(prefix) for n in api.networks(filters=mine)),
            programs=frozenset() if bundle is None else frozenset(self._present(bundle)),
        )

    def described(self, stack: Stack) -> tuple[Service, ...]:
        """As `compose.yaml` says."""
        path = stack.bundle / "compose.yaml"
        if not path.is_file():
            return ()
        found = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
        return tuple(
            Service(name, entry["image"], entry["labels"][_DIGEST], {}, entry["restart"] == "no")
            for name, entry in found.items()
        )

    @_told
    def refuse_foreign(self, stack: Stack, bundle: Bundle) -> None:
        """Nothing of the stack's names belongs to somebody else.

        Raises:
            UserError: Naming what, and whose it is.
        """
        project, owner, api = project_name(stack.name), stack.owner, self.client.api
        volumes = {f"{project}_{name}" for name in bundle.volumes}
        networks = {f"{project}_{name}" for name in bundle.networks}
        # Containers first: they tell of which home they are.
        found = [
            ("container", container["Names"][0].lstrip("/"), container["Labels"])
            for container in api.containers(all=True, filters={"label": f"{_PROJECT}={project}"})
        ]
        found += [
            ("volume", volume["Name"], volume.get("Labels") or {})
            for volume in api.volumes().get("Volumes") or []
            if volume["Name"] in volumes
        ]
        found += [
            ("network", network["Name"], network.get("Labels") or {})
            for network in api.networks()
            if network["Name"] in networks
        ]
        for kind, name, labels in found:
            if labels.get(_OWNER) != owner:
                whose = labels.get("io.stackctl.home")
                raise UserError(
                    f"{kind} {name} is there already and does not belong to stack "
                    f"{stack.name!r} of {stack.home.path}"
                    + (f", but to that of {whose}" if whose else ""),
                    hint="choose another name with --set name=NAME; nothing was changed",
                )

    def obtain(self, stack: Stack, bundle: Bundle, progress: Progress) -> None:
        """Build and pull what is not there.

        Raises:
            MachineError: An image cannot be had.
        """
        there = self._present(bundle)
        for program in bundle.programs:
            if program.name in there:
                continue
            image = program.name
            service = next(s.name for s in bundle.services if s.program == image)
            if program.action == "build":
                progress(f"building {image} (some minutes the first time)")
                command, verb = self.compose.build(stack, service), "built"
            else:
                progress(f"pulling {image}")
                command, verb = self.compose.pull(stack, [service]), "pulled"
            code, output = self._run(command)
            if code or image not in self._present(bundle):
                raise explanations.no_image(image, verb, redact(output, stack.secrets.values()))

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

        Compose does what the plan says and finds no differences of its own: it compares a hash of
        the whole definition, which another Compose computes otherwise.

        Raises:
            NotReady: Naming the service, its state, its last log lines, and what to do.
        """
        names = [service.name for service in services]
        doing = {action: [step.name for step in steps if step.action == action]
                 for action in ("recreate", "restart", "remove")}  # fmt: skip
        if doing["recreate"]:
            self._must(self.compose.recreate(stack, doing["recreate"]), stack)
        if doing["restart"]:
            self._must(self.compose.restart(stack, doing["restart"]), stack)
        whole = set(names) == {service.name for service in self.described(stack)}
        command = self.compose.up(
            stack, () if whole else names, wait=timeout is not None, orphans=bool(doing["remove"])
        )
        reloaded = [step.name for step in steps if step.action == "reload"]
        if timeout is None:
            self._run(command)
            self._reload(stack, reloaded)
            return
        begin, patience = time.monotonic(), Patience(timeout)
        told: dict[str, str] = {}

        def tell() -> bool:
            for state in self.observe(stack).services.values():
                text = str(state)
                if told.get(state.name) != text and state.state != "created":
                    told[state.name] = text
                    progress(f"{state.name}: {text} ({time.monotonic() - begin:.1f} s)")
            return not patience.is_over()

        code, output = self._run(command, meanwhile=tell)
        tell()
        observed = self.observe(stack)
        failed = observed.unsettled(names)
        if code or failed:
            raise self._failure(stack, observed.services, failed, output)
        self._reload(stack, reloaded)

    def _reload(self, stack: Stack, names: Sequence[str]) -> None:
        for name in names:
            self._must(self.compose.signal(stack, name, SERVICES[name].reload_signal), stack)

    @_told
    def remove(self, stack: Stack, *, lost: frozenset[str] = frozenset()) -> None:
        """Take containers and networks away, and the stack's own volumes among those named.

        Raises:
            MachineError: Something of it could not be removed.
        """
        from docker.errors import APIError, NotFound

        mine = {"label": f"{_PROJECT}={project_name(stack.name)}"}
        there = self.client.api.containers(all=True, filters=mine)
        if any(container["Labels"].get(_OWNER) != stack.owner for container in there):
            raise UserError(
                f"the containers of {project_name(stack.name)} belong to another home than "
                f"{stack.home.path}",
                hint="remove them from there; nothing was changed",
            )
        if there and not (stack.bundle / "compose.yaml").exists():
            raise MachineError(
                f"{stack.bundle / 'compose.yaml'} is gone, and the containers still run",
                hint="deploy again, which writes it, then remove",
            )
        if (stack.bundle / "compose.yaml").exists():
            # A database whose data is deleted next need not write it down first; one that is
            # still initialising would not even hear the signal.
            grace = _GRACE_SECONDS if lost else None
            code, output = self._run(self.compose.down(stack, grace=grace))
            if code:
                raise MachineError(
                    f"stack {stack.name!r} could not be removed: {explanations.last_line(output)}",
                    hint="mend that, and run the same command again",
                )
        for name in sorted(lost):
            with contextlib.suppress(NotFound):
                volume = self.client.volumes.get(f"{project_name(stack.name)}_{name}")
                if (volume.attrs.get("Labels") or {}).get(_OWNER) == stack.owner:
                    try:
                        volume.remove()
                    except APIError as error:
                        raise MachineError(
                            f"volume {volume.name} could not be removed: {error.explanation}",
                            hint="stop what uses it, and run the same command again",
                        ) from error

    def logs(self, stack: Stack, service: str | None, *, follow: bool, tail: int) -> Iterator[str]:
        """Lines of the logs, without secrets."""
        values = stack.secrets.values()
        with self._process(self.compose.logs(stack, service, follow=follow, tail=tail)) as process:
            assert process.stdout is not None  # noqa: S101 - asked for as a pipe
            for line in process.stdout:
                yield redact(line.rstrip("\n"), values)

    def inside(self, stack: Stack, scenario: Scenario, settings: Settings) -> Inside:
        """The services' names on the stack's network, tried in the server's container."""
        prefix = Addresses(scenario, settings).prefix
        proxy = replace(by_name("artifacts"), path=prefix)
        way = Way(
            server=replace(by_name(scenario.server), path=prefix),
            artifacts=proxy if scenario.writer == "artifacts-server" else None,
            objects=(
                settings.object_store_endpoint
                if "objects" in settings.elsewhere
                else str(by_name("objects"))
            ),
        )
        return Inside(way, lambda source: self._run_python(stack, scenario.server, source))

    def within(self, stack: Stack, service: str, script: str) -> AbstractContextManager[Pipe]:
        """A process in the service's container."""
        return piped(
            self.compose.execute(stack, service, ["bash", "-c", script]),
            what=f"a program in service {service}",
            environment=compose_commands.environment(),
            secrets=stack.secrets.values(),
        )

    def beside(
        self, stack: Stack, service: str, script: str, words: Sequence[str]
    ) -> AbstractContextManager[Pipe]:
        """A container of its own, on the service's networks, whose output nobody records."""
        # Its output is the user's data, and its health is its exit code.
        quiet = {"logging": {"driver": "none"}, "healthcheck": {"disable": True}}
        override = {"services": {service: quiet}}
        write_files(stack.folder, {"beside.yaml": (json.dumps(override), 0o600)})
        name = f"{project_name(stack.name)}-beside-{uuid.uuid4().hex[:8]}"
        program = ["bash", "-c", script, "bash", *words]
        return piped(
            self.compose.run(stack, service, stack.folder / "beside.yaml", name, program),
            what=f"a program beside service {service}",
            environment=compose_commands.environment(),
            secrets=stack.secrets.values(),
            sweep=lambda: self._remove_container(name),
        )

    @_told
    def sweep(self, stack: Stack) -> None:
        """Remove one-shot containers whose stackctl was killed."""
        labels = [f"{_PROJECT}={project_name(stack.name)}", f"{_OWNER}={stack.owner}",
                  "com.docker.compose.oneoff=True"]  # fmt: skip
        for container in self.client.api.containers(all=True, filters={"label": labels}):
            self._remove_container(container["Id"])

    def stop(self, stack: Stack, names: Sequence[str]) -> None:
        """Stop some services.

        Raises:
            MachineError: One would not stop.
        """
        self._must(self.compose.stop(stack, names), stack)

    @_told
    def obstacle(self, stack: Stack, address: str, port: int) -> Obstacle | None:
        """As the kernel says, and the daemon of its containers; that may use every port."""
        failure = listen_failure(address, port)
        if failure in (None, errno.EACCES):
            return None
        if failure == errno.EADDRNOTAVAIL:
            return Obstacle("address")
        for container in self.client.api.containers():
            if any(entry.get("PublicPort") == port for entry in container.get("Ports") or []):
                labels = container["Labels"]
                if labels.get(_OWNER) == stack.owner:
                    return None
                name = container["Names"][0].lstrip("/")
                other = labels.get("io.stackctl.stack")
                told = f"stack {other!r} (container {name})" if other else f"container {name}"
                return Obstacle("taken", told)
        return Obstacle("taken", listener(port))

    @_told
    def disk_use(self, stack: Stack) -> Mapping[str, int]:
        """Bytes used by each volume of the stack."""
        prefix = f"{project_name(stack.name)}_"
        return {
            volume["Name"].removeprefix(prefix): int(volume["UsageData"]["Size"])
            for volume in self.client.df().get("Volumes") or []
            if volume["Name"].startswith(prefix)
            and (volume.get("Labels") or {}).get(_OWNER) == stack.owner
        }

    def _state(self, container_id: str, labels: Mapping[str, str]) -> ServiceState:
        from docker.errors import NotFound

        try:
            found = self.client.api.inspect_container(container_id)
        except NotFound:
            raise LookupError(container_id) from None
        state = found["State"]
        bindings = (found.get("NetworkSettings") or {}).get("Ports") or {}
        return ServiceState(
            name=labels[_SERVICE],
            state=_STATES.get(state["Status"], state["Status"]),
            health=(state.get("Health") or {}).get("Status", ""),
            exit_code=int(state.get("ExitCode", 0)),
            digest=labels.get(_DIGEST, ""),
            program=found["Config"]["Image"],
            out_of_memory=bool(state.get("OOMKilled")),
            once=found["HostConfig"]["RestartPolicy"]["Name"] in ("", "no"),
            ports=tuple(
                f"{entry['HostIp']}:{entry['HostPort']}"
                for entries in bindings.values()
                for entry in entries or []
            ),
        )

    def _remove_container(self, name: str) -> None:
        from docker.errors import NotFound

        with contextlib.suppress(NotFound):
            self.client.api.remove_container(name, force=True)

    def _run_python(self, stack: Stack, service: str, source: str) -> str:
        code, output = self._run(self.compose.run_python(stack, service), given=source)
        if code:
            raise NotReady(
                f"service {service}: a check inside its container failed: "
                f"{redact(explanations.last_line(output), stack.secrets.values())}",
                hint=f"see: stackctl logs {service}",
            )
        return output

    @_told
    def _present(self, bundle: Bundle) -> set[str]:
        from docker.errors import ImageNotFound

        there = set()
        for image in {service.program for service in bundle.services}:
            with contextlib.suppress(ImageNotFound):
                self.client.images.get(image)
                there.add(image)
        return there

    def _failure(
        self, stack: Stack, states: Mapping[str, ServiceState], failed: list[str], output: str
    ) -> NotReady:
        name = explanations.culprit(failed, states)
        values = stack.secrets.values()
        if name is None:
            return explanations.not_started(stack.name, redact(output, values))
        lines = list(self.logs(stack, name, follow=False, tail=explanations.LOG_LINES))
        return explanations.not_ready(name, states.get(name), lines)

    @contextlib.contextmanager
    def _process(self, command: list[str], **pipes: Any) -> Iterator[subprocess.Popen[str]]:
        """A Compose process that Ctrl-C reaches through stackctl alone."""
        process = subprocess.Popen(
            command,
            env=compose_commands.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            **({"stdin": subprocess.DEVNULL} | pipes),
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _must(self, command: list[str], stack: Stack) -> None:
        code, output = self._run(command)
        if code:
            told = redact(explanations.last_line(output), stack.secrets.values())
            raise MachineError(
                f"Compose failed for stack {stack.name!r}: {told}",
                hint="mend that, and run the same command again",
            )

    def _run(
        self, command: list[str], *, given: str = "", meanwhile: Callable[[], bool] | None = None
    ) -> tuple[int, str]:
        """Exit code and output of a command.

        Args:
            command: Program and words.
            given: Its standard input.
            meanwhile: Called again and again; where it says no, the command is ended.
        """
        with self._process(command, stdin=subprocess.PIPE) as process:
            pending: str | None = given
            while True:
                try:
                    output, _ = process.communicate(
                        input=pending, timeout=_POLL_SECONDS if meanwhile else None
                    )
                    return process.returncode, output
                except subprocess.TimeoutExpired:
                    pending = None
                    if meanwhile is not None and not meanwhile():
                        process.terminate()
                        meanwhile = None
