"""The docker runtime: Compose starts and stops, the SDK looks.

Only this module starts Compose's processes and talks to the daemon.
"""

import contextlib
import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from stackctl.addresses import Url, Way
from stackctl.errors import MachineError, NotReady, UserError
from stackctl.observed import Observed, ServiceState
from stackctl.pipe import Pipe, piped
from stackctl.progress import Progress
from stackctl.render import Bundle, Place, Service, project_name
from stackctl.runtimes import explanations
from stackctl.runtimes.base import Identity, Inside, place_of
from stackctl.runtimes.docker import compose as compose_commands
from stackctl.runtimes.docker.compose import Compose
from stackctl.scenario import Scenario
from stackctl.secrets import redact
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
_SERVER_PORT = 5000


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
    # The daemon publishes ports, whoever asks it.
    may_bind_any_port = True

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
    def host(self) -> str:
        """The daemon's address."""
        if self.context is None:
            return os.environ["DOCKER_HOST"]
        return self.context.Host or "unix:///var/run/docker.sock"

    @cached_property
    def client(self) -> "docker.DockerClient":
        """A connection to the daemon.

        Raises:
            MachineError: None answers, or this user may not talk to it.
        """
        import docker
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            if self.context is None:
                return docker.from_env(timeout=_API_SECONDS)
            tls = self.context.TLSConfig or False
            return docker.DockerClient(base_url=self.host, tls=tls, timeout=_API_SECONDS)
        except (DockerException, RequestException, ValueError) as error:
            raise explanations.unreachable(self.host, error) from error

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
        """What the daemon tells of itself."""
        return dict(self.client.info())

    def place(self, stack: Stack, scenario: Scenario, effective: Effective) -> Place:
        """The user's own files, and as whom containers act to be this user on the machine.

        A rootless daemon maps the root of a container to the user who runs the daemon.
        """
        me = Identity.of_this_process()
        options = (self.info().get("SecurityOptions") or []) if self._asks else []
        rootless = any("rootless" in option for option in options)
        return place_of(stack, effective, Identity(0, 0, me.user) if rootless else me)

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
            images=frozenset() if bundle is None else frozenset(self._present(bundle)),
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

    def obtain_images(self, stack: Stack, bundle: Bundle, progress: Progress) -> None:
        """Build and pull what is not there.

        Raises:
            MachineError: An image cannot be had.
        """
        there = self._present(bundle)
        for service in _one_for_each_image(bundle):
            if service.image in there:
                continue
            if service.image == bundle.built_image:
                progress(f"building {service.image} (some minutes the first time)")
                command, verb = self.compose.build(stack, service.name), "built"
            else:
                progress(f"pulling {service.image}")
                command, verb = self.compose.pull(stack, [service.name]), "pulled"
            code, output = self._run(command)
            if code or service.image not in self._present(bundle):
                raise explanations.no_image(
                    service.image, verb, redact(output, stack.secrets.values())
                )

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
        sick = [s.name for s in self.observe(stack).services.values() if s.health == "unhealthy"]
        if sick:
            self._run(self.compose.restart(stack, sick))
        begin = time.monotonic()
        told: dict[str, str] = {}

        def tell() -> None:
            for state in self.observe(stack).services.values():
                text = str(state)
                if told.get(state.name) != text and state.state != "created":
                    told[state.name] = text
                    progress(f"{state.name}: {text} ({time.monotonic() - begin:.1f} s)")

        code, output = self._run(
            self.compose.up(stack, only, wait_timeout=max(1, int(timeout))), meanwhile=tell
        )
        tell()
        states = self.observe(stack).services
        failed = [
            service.name
            for service in bundle.services
            if (not only or service.name in only)
            and (service.name not in states or not states[service.name].settled)
        ]
        if code or failed:
            raise self._failure(stack, states, failed, output)

    def restore(self, stack: Stack) -> None:
        """Start what the files say; failures are left to whoever looks next."""
        self._run(self.compose.start(stack))

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
        proxy = Url("http", "artifacts", _SERVER_PORT)
        way = Way(
            server=Url("http", scenario.server, _SERVER_PORT),
            artifacts=proxy if scenario.writer == "artifacts-server" else None,
            objects=(
                settings.object_store_endpoint
                if settings.object_store == "external"
                else str(Url("http", "objects", 8333))
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
        code, output = self._run(self.compose.stop(stack, names))
        if code:
            raise MachineError(
                f"services of stack {stack.name!r} could not be stopped: "
                f"{redact(explanations.last_line(output), stack.secrets.values())}",
                hint="mend that, and run the same command again",
            )

    def run_only(self, stack: Stack, names: Sequence[str], *, timeout: float) -> None:
        """Have some services run, and none of the others."""
        others = [name for name in self.observe(stack).services if name not in names]
        if others:
            self.stop(stack, others)
        if not names:
            return
        code, output = self._run(self.compose.up(stack, names, wait_timeout=max(1, int(timeout))))
        states = self.observe(stack).services
        failed = [name for name in names if name not in states or not states[name].settled]
        if code or failed:
            raise self._failure(stack, states, failed, output)

    @_told
    def port_owner(self, stack: Stack, port: int) -> str | None:
        """Which container publishes `port`; "" for one of the stack itself."""
        for container in self.client.api.containers():
            if any(entry.get("PublicPort") == port for entry in container.get("Ports") or []):
                labels = container["Labels"]
                if labels.get(_OWNER) == stack.owner:
                    return ""
                name = container["Names"][0].lstrip("/")
                other = labels.get("io.stackctl.stack")
                return f"stack {other!r} (container {name})" if other else f"container {name}"
        return None

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
            state=state["Status"],
            health=(state.get("Health") or {}).get("Status", ""),
            exit_code=int(state.get("ExitCode", 0)),
            digest=labels.get("io.stackctl.digest", ""),
            image=found["Config"]["Image"],
            out_of_memory=bool(state.get("OOMKilled")),
            one_shot=found["HostConfig"]["RestartPolicy"]["Name"] in ("", "no"),
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
        for image in {service.image for service in bundle.services}:
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

    def _run(
        self, command: list[str], *, given: str | None = None, meanwhile: Any = None
    ) -> tuple[int, str]:
        with self._process(command, stdin=subprocess.PIPE) as process:
            pending: str | None = given or ""
            while True:
                try:
                    output, _ = process.communicate(
                        input=pending, timeout=_POLL_SECONDS if meanwhile else None
                    )
                    return process.returncode, output
                except subprocess.TimeoutExpired:
                    pending = None
                    meanwhile()


def _one_for_each_image(bundle: Bundle) -> list[Service]:
    first: dict[str, Service] = {}
    for service in bundle.services:
        first.setdefault(service.image, service)
    return list(first.values())
